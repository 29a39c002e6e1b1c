"""What is read in a compiled program's text, on lines as TPU's compiler writes them."""

from benchmarks import hlo

TEXT = """\
HloModule jit_train, is_scheduled=true, input_output_alias={ {0}: (0, {}, may-alias), {1}: (2, {}, may-alias) }, \
entry_computation_layout={(s32[1]{0:T(128)})->s32[1]{0:T(128)}}

%fused.1 (p.0: bf16[32,128], p.1: bf16[128,64]) -> f32[32,64] {
  %p.0 = bf16[32,128]{1,0:T(8,128)(2,1)} parameter(0)
  %p.1 = bf16[128,64]{1,0:T(8,128)(2,1)} parameter(1)
  ROOT %conv.1 = f32[32,64]{1,0:T(8,128)} convolution(%p.0, %p.1), dim_labels=bf_io->bf, \
metadata={op_name="jit(train)/while/body/encoder/layer_0/output/dot_general" stack_frame_id=3}
}

%fused.2 (p.0: f32[32,128], p.1: bf16[128,64]) -> f32[32,64] {
  %p.0 = f32[32,128]{1,0:T(8,128)} parameter(0)
  %p.1 = bf16[128,64]{1,0:T(8,128)(2,1)} parameter(1)
  ROOT %conv.2 = f32[32,64]{1,0:T(8,128)} convolution(%p.0, %p.1), dim_labels=bf_io->bf, \
metadata={op_name="jit(train)/while/body/encoder/layer_1/output/dot_general"}
}

ENTRY %main (a: f32[4,8], b: f32[2]) -> f32[4,8] {
  %a = f32[4,8]{1,0:T(8,128)} parameter(0)
  %b = f32[2]{0:T(128)} parameter(1)
  %start = (f32[4,8]{1,0:T(8,128)}, f32[2]{0:T(128)}) all-reduce-start(%a, %b), channel_id=1, to_apply=%add
  %done = (f32[4,8]{1,0:T(8,128)}, f32[2]{0:T(128)}) all-reduce-done(%start)
  %again = f32[2]{0:T(128)} all-reduce(%b), channel_id=2, to_apply=%add
  %bits = s32[4]{0:T(128)} custom-call(%a), custom_call_target="GatherScatterIndicesBitpacked"
  %sum = f32[4,8]{1,0:T(8,128)S(1)} add(%a, %a)
}
"""
HOST = """\
ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %call = f32[4]{0} custom-call(%a), custom_call_target="xla_ffi_python_cpu_callback"
  %send = (f32[4]{0}, u32[], token[]) send(%a, %token), channel_id=3, is_host_transfer=true
  %sent = token[] send-done(%send), channel_id=3
  %far = f32[4]{0:T(128)S(5)} copy(%a)
}
"""


def test_collectives_are_counted_once_with_the_bytes_they_are_given():
    assert hlo.collectives(TEXT) == {"all-reduce": {"count": 2, "bytes": 4 * (32 + 2 + 2)}}
    assert hlo.collectives(HOST) == {}


def test_the_inputs_of_products_are_those_of_their_own_computation():
    """Both computations call their parameters p.0 and p.1."""
    inside, wide = hlo.products(TEXT)
    assert inside.inputs == ("bf16", "bf16")
    assert wide.inputs == ("f32", "bf16")
    assert "/layer_1/" in wide.op_name


def test_trips_to_the_host():
    assert hlo.host_trips(TEXT) == []
    assert [trip.split()[0] for trip in hlo.host_trips(HOST)] == ["custom-call", "send", "send-done", "copy"]


def test_donated_arrays_that_are_used_again():
    assert hlo.aliased(TEXT) == 2
    assert hlo.aliased(HOST) == 0


def test_bytes_of_a_type():
    assert hlo.array_bytes("(f32[2,3]{1,0:T(8,128)}, bf16[4], pred[])") == 24 + 8 + 1
    assert hlo.array_bytes("token[]") == 0
