"""The commented file that `padless targets new` writes. It is refused until each number has a source."""

TEMPLATE = """\
# A target for padless. Say what you know, leave out what you do not, and list that in `unknown`.
# Every number needs a [[fact]] with its source; `check` refuses this file until each of them names one.
#   padless targets check {file}                     checks this file, with line numbers
#   padless inspect MODEL --target {file}            uses it
#   PADLESS_TARGETS=/folder/with/such/files padless targets     lists it beside the others
# Not sure of the units? Let `padless probe` find them with your compiler, your simulator or your board.
# Editors that read JSON Schema complete this file: `padless targets schema > target.schema.json`, and as the first line
#   #:schema ./target.schema.json

schema = 1
id = "{id}"                     # what --target takes
name = "My NPU, int8"
vendor = "My company"
note = "One or two sentences that a reader should know before trusting the numbers."
unknown = ["compute.int8.depthwise_unit", "memory.channel_block"]   # dotted paths

# One table for each precision: int8, int16, fp16, int4, or int8w4 (8-bit activations, 4-bit weights).
[compute.int8]
macs_per_cycle = 256                      # of the whole NPU
array = {{ outputs = 16, inputs = 16 }}     # computed at once: pixels, outputs, inputs, taps; the product is the MACs
# cores = 2                               # the MACs are then of all cores, the array of one
input_unit = 16                           # input channels are rounded up to this in compute
output_unit = 16                          # output channels are
# depthwise_unit = 16
# spatial_unit = [2, 2]                   # rows and columns of output pixels that are computed at once
misfit = "waste"                          # waste: idle MACs; pad: the compiler adds zeros; reject: runs elsewhere

# The first rule whose `when` fits a layer replaces the units above: kind (conv, grouped, depthwise, linear),
# kernel ("1x1", "3x3", "other" = all but 1x1), min_c_in, max_c_in, min_c_out, max_c_out, min_pixels (of the output map).
[[compute.int8.rule]]
when = {{ kernel = "1x1" }}
input_unit = 32

# [memory]
# channel_block = 16                      # channels that stored activations are padded to (or channel_block_bytes)
# channel_block_optional = true           # a layout without padding exists
# align_bytes = 16

# The first system is the default. Bandwidths are bytes an NPU cycle.
[system.board]
clock_hz = 500_000_000
# sram_bytes_per_cycle = 8.0
# dram_bytes_per_cycle = 4.0

# [limits]
# max_output_channels = 4096

# Where each number was read: a manual's address (https://…), a package (pypi:package==version), your own measurement. The
# locator says where in it. A fact may repeat its `value`, so that neither can change alone.
# confidence: documented (the vendor says it), derived (from the vendor's compiler or driver), reverse-engineered, given.
[[fact]]
field = "compute.int8.macs_per_cycle"
source = ""
locator = ""
confidence = "documented"

[[fact]]
field = "compute.int8.array"
source = ""
locator = ""
confidence = "documented"

[[fact]]
field = "compute.int8.input_unit"
source = ""
locator = ""
confidence = "documented"

[[fact]]
field = "compute.int8.output_unit"
source = ""
locator = ""
confidence = "documented"

[[fact]]
field = "compute.int8.rule.0"
source = ""
locator = ""
confidence = "derived"

[[fact]]
field = "system.board.clock_hz"
source = ""
locator = ""
confidence = "given"
"""


def template(file: str, id: str) -> str:
    """The file's text, for a target that is called `id`."""
    return TEMPLATE.format(file=file, id=id)
