"""Every field of a run, each method at its identity value, everything else as the paper has it.

The paper is "Revisiting Few-sample BERT Fine-tuning" (Zhang et al., ICLR 2021): BERT-large uncased, batch 32, length
128, peak learning rate 2e-5, 3 epochs, 10 % warm-up then linear decay, global clip 1.0, dropout 0.1, ten evaluations.
A config of a setting starts from here and changes values: `stablefit run --config=rte`. `--config=rte:runlocal` shrinks
any of them to something a laptop finishes; arguments.py has what else may stand after the colon.
"""

from ml_collections import ConfigDict

from stablefit.configs.arguments import runlocal, with_argument

__all__ = ["get_config", "runlocal", "with_argument"]


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()

    # What is trained, and on what.
    config.model = "bert-large-uncased"  # a directory, a hub id, or package:NAME of an installed package
    config.task = "rte"  # a name of stablefit/data/tasks.py; reviews is embedded; texts reads your own data_file
    config.data_dir = ""  # the folder of the task's files, or one that holds it
    config.max_length = 128  # pieces; longer inputs are cut, shorter ones cost only what they need
    # A subset of this size, class-balanced (the paper's 1k sets: 1000); of own texts with each class in its share; of
    # tagging any; 0: all.
    config.train_examples = 0
    config.init_from = ""  # folder of a finished seed: its encoder is the start, and for the same labels its head

    # Your own labelled texts: config.task = "texts" (own.py shows it).
    config.data_file = ""  # a table (CSV, TSV, JSON lines, Parquet, Excel), or a folder of train, dev and test tables
    config.text_columns = ""  # names of one or two columns, with a comma between; "": found
    config.join_texts = False  # True: text columns are joined to one text; False: two are a pair
    config.label_column = ""  # one column, or several 0/1 columns with commas between; "": found
    config.group_column = ""  # rows of one group (a customer, a film) are never split between folds
    config.id_column = ""  # what names a row in predictions; "": its line
    config.label_kind = "auto"  # classification, regression or multilabel; auto: inferred from the labels, and said
    config.label_separator = ""  # what stands between several labels of a row, such as ";"; "": found
    config.skip_bad = False  # True: rows that cannot be used are left out and counted; False: they are refused
    config.train_on_all = False  # True: no rows are set aside to choose the best step, the last counts; of tagging too
    config.class_weights = "none"  # balanced: an example's loss is weighted by N / (classes x examples of its class)

    # Own texts and tagging tasks.
    config.folds = 0  # cross-validation: seed s is tested on fold s mod folds; 0: the test file

    # Tagging tasks only.
    config.tag_scheme = "iob2"  # what the tags of column files are: iob2, iob1 or iobes
    config.pieces = "word"  # word: each word, or character, is cut into pieces on its own; text: the text as it stands
    config.crf = True  # a linear-chain CRF on the emissions; False: a softmax at each word

    # How long.
    config.batch_size = 32
    config.eval_batch_size = 64
    config.epochs = 3.0
    config.max_steps = 0  # longer training: this many steps instead of epochs; 0: epochs
    config.evaluations = 10  # every T//10 steps and at the end; the best on validation is kept
    config.patience = 0  # a run stops after so many evaluations in a row without a better score; 0: off
    config.stop_seeds_at = 0.0  # share of the steps after which seeds are compared, and only the best go on; 0: off
    config.keep_seeds = 0.5  # share of the seeds that then go on, rounded up

    # Adam, clipping, schedule.
    config.learning_rate = 2e-5
    # linear: warm-up, then linear to 0; bert: TF BERT's, which jumps after warm-up; uncorrected: linear times r(t), by
    # which Adam's steps are longer without bias correction (methods.bias_correction_ratio)
    config.schedule = "linear"
    config.warmup_ratio = 0.1  # of all steps; the first update has learning rate 0
    config.clip_norm = 1.0  # global norm, before everything else; inf: off
    config.component_clip_norm = float("inf")  # norm of each tensor on its own; inf: off
    config.b1 = 0.9
    config.b2 = 0.999
    config.eps = 1e-8
    config.eps_hat = False  # True: epsilon beside the uncorrected second moment, as TF BERT and old transformers
    config.bias_correction = "both"  # both; none is BERTAdam; first, second: only that moment

    # Methods on the update.
    config.weight_decay = 0.0  # toward zero, times the learning rate; not on biases and LayerNorm
    config.init_decay = 0.0  # toward the pre-trained weights, times the learning rate (the paper's)
    config.init_decay_coupled = 0.0  # the same inside the gradient, through Adam (L2-SP)
    config.init_decay_unscaled = 0.0  # the same not times the learning rate: share of the way back each step
    config.projection_decay = 0.0  # selective projection decay: only where the step leads further away
    config.init_decay_everywhere = False  # True: head and re-initialised leaves too, as the released code
    config.layer_decay = 1.0  # layer-wise learning-rate decay: block i from the top at layer_decay^i
    config.layer_decay_convention = "paper"  # paper: top block d; electra: top block d^2
    config.lr_multipliers = ""  # space-separated pattern=factor, first match wins, e.g. "head/.*=100"

    # The head.
    config.pooling = "pooler"  # pooler: tanh(W h + b) of [CLS]; cls: [CLS] itself; mean: LayerNorm of the pieces' mean
    config.head_start = "normal"  # probe: the head starts as logistic (or ridge) regression on the frozen encoder

    # Methods on the parameters.
    config.reinit_layers = 0  # re-initialise this many top blocks, and the pooler with them
    config.reinit_blocks = ()  # and these block indices, from 0 at the bottom
    config.reinit_patterns = ""  # and the leaves that these space-separated patterns name
    config.reinit_pooler = False  # re-initialise the pooler even if no block is
    config.mixout_rate = 0.0  # share of the weights that a step takes from the pre-trained model
    config.mixout_unit = "input"  # input: one draw an input unit, as the released code; weight: one a weight
    config.mixout_gradient = "true"  # official: without 1/(1-p), as the released code
    config.mixout_with_dropout = False  # True: allow both; the released code sets dropout to 0
    config.dropout = 0.1

    # Randomness: a seed fans out into three streams; each can be held on its own (-1: follows the seed).
    config.seeds = (0,)
    config.init_seed = -1  # head and re-initialised leaves
    config.data_seed = -1  # order of the examples
    config.noise_seed = -1  # dropout and mixout

    # The machine; none of these is part of what a run is.
    config.compute_dtype = "float32"  # bfloat16: inputs of matrix products, with fp32 sums and fp32 weights
    config.cohort_size = 0  # runs in one compiled program; 0: chosen by the device (1 on a CPU)
    config.keep = "best_and_last"  # best_and_last, best or none: parameters kept at the end
    config.checkpoint_minutes = 5.0  # how much work an unannounced kill may cost; a signal costs none
    config.tensorboard = False  # write TensorBoard files beside the JSON lines

    return with_argument(config, arg)
