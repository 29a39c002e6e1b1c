"""The settings that come with stablefit: `--config=NAME`, from wherever the program is called.

base.py has every field of stablefit/fields.py at its default; a module a task changes what its task needs; arguments.py
holds the methods, the same for all tasks; named.py gives a task with a method a name of its own; expected.py has the
paper's numbers. A config of your own starts with `from stablefit.configs import base`, as the modules of tasks do.
"""
