"""TFLite files, read back."""

import numpy as np


class Read:
    """A TFLite file, read back: its tensors, and per operator its code, tensors and padding."""

    def __init__(self, tflite: bytes) -> None:
        from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator
        from ethosu.vela.tflite.Model import Model

        assert tflite[4:8] == b"TFL3"
        self.model = Model.GetRootAs(tflite, 0)
        self.graph = self.model.Subgraphs(0)
        self.tensors = [self.graph.Tensors(i) for i in range(self.graph.TensorsLength())]
        self.operators = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        names = {code: name for name, code in vars(BuiltinOperator).items() if not name.startswith("_")}
        self.codes = [names[self.model.OperatorCodes(op.OpcodeIndex()).BuiltinCode()] for op in self.operators]

    def shape(self, tensor: int) -> list[int]:
        return self.tensors[tensor].ShapeAsNumpy().tolist()

    def data(self, tensor: int) -> np.ndarray:
        t = self.tensors[tensor]
        stored = self.model.Buffers(t.Buffer()).DataAsNumpy()
        return stored.view(np.int32 if t.Type() == 2 else np.int8).reshape(t.ShapeAsNumpy())

    def quantisation(self, tensor: int) -> tuple[float, int]:
        q = self.tensors[tensor].Quantization()
        return round(float(q.Scale(0)), 6), int(q.ZeroPoint(0))

    def padding(self, operator: int) -> str:
        from ethosu.vela.tflite.Pool2DOptions import Pool2DOptions

        options = Pool2DOptions()
        table = self.operators[operator].BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return ["SAME", "VALID"][options.Padding()]


def tensors(tflite: bytes) -> dict[str, tuple[tuple[int, ...], np.ndarray, np.ndarray]]:
    """Per tensor with data: shape, stored values, scales."""
    from ethosu.vela.tflite.Model import Model

    model = Model.GetRootAs(tflite, 0)
    graph, found = model.Subgraphs(0), {}
    for i in range(graph.TensorsLength()):
        t = graph.Tensors(i)
        data = model.Buffers(t.Buffer()).DataAsNumpy()
        if not isinstance(data, int):
            kind = np.int32 if t.Type() == 2 else np.int8
            scale = t.Quantization().ScaleAsNumpy() if t.Quantization() else np.ones(1)
            found[t.Name().decode()] = (
                tuple(t.ShapeAsNumpy()),
                data.view(kind).reshape(t.ShapeAsNumpy()),
                np.atleast_1d(scale),
            )
    return found
