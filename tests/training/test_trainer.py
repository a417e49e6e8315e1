"""The loop on a line that is to be fitted: steps, accumulation, early stopping, the best weights, going on."""

import pytest
import torch
from nearly import assert_same_values, assert_same_weights

from groundgraph.training.config import OptimConfig
from groundgraph.training.task import TrainingTask
from groundgraph.training.trainer import seeded, train

X = torch.linspace(-1, 1, 12)[:, None]


class Line(TrainingTask[torch.Tensor]):
    """y = 2 x; figures are given, or the loss on all points."""

    def __init__(self, figures=None, parts=1, seed=0):
        super().__init__(torch.nn.Linear(1, 1), 3, {"task": "line"}, seed)
        self.figures, self.parts = figures and iter(figures), parts

    def order(self):
        return torch.randperm(12, generator=self.generator).tolist()

    def batches(self, epoch, order, done):
        for rows in torch.tensor(order).split(4)[done:]:
            yield rows.tensor_split(self.parts)

    def losses(self, batch):
        return {"square": (self.model(X[batch]) - 2 * X[batch]).square().sum() / 4}

    def validate(self):
        if self.figures:
            return next(self.figures)
        with torch.no_grad():
            return (self.model(X) - 2 * X).square().mean().item()


def fit(task, epochs=4, progress=None, **options):
    kept = {name: options.pop(name) for name in ("checkpoint", "interval") if name in options}
    config = OptimConfig(**({"epochs": epochs, "optimizer": "sgd", "learning_rate": 0.1} | options))
    return train(task, config, progress, **kept), task.model


def line(**options):
    with seeded(0, torch.device("cpu")):
        return Line(**options)


def test_a_line_is_fitted_and_the_generator_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    curves, model = fit(line(), epochs=30)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(curves["square"]) == len(curves["validation"]) == 30 and curves["validation"][-1] < 1e-3
    assert model.weight.item() == pytest.approx(2, abs=0.1) and not model.training


def test_a_batch_in_parts_is_the_same_batch():
    one, two = fit(line()), fit(line(parts=2))
    assert one[0]["square"] == pytest.approx(two[0]["square"])
    torch.testing.assert_close(one[1].weight, two[1].weight)


def test_a_training_stops_after_so_many_validations_and_keeps_the_best_weights():
    weights = []
    task = line(figures=[3.0, 1.0, 2.0, 2.0, 0.0])
    curves, model = fit(task, epochs=9, patience=2, progress=lambda *_: weights.append(task.model.weight.item()))
    assert curves["validation"] == [3.0, 1.0, 2.0, 2.0] and len(weights) == 12  # four epochs of three steps
    assert model.weight.item() == weights[5] != weights[-1]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("stop", [1, 3, 7])
def test_a_stopped_training_goes_on(tmp_path, stop, schedule, accumulate):
    options = {"schedule": schedule, "accumulate_grad_batches": accumulate, "optimizer": "adamw"}

    def interrupt(done, total, losses):
        if done == stop:
            raise KeyboardInterrupt

    curves, model = fit(line(), **options)
    with pytest.raises(KeyboardInterrupt):
        fit(line(), progress=interrupt, checkpoint=tmp_path / "t.pt", **options)
    again, resumed = fit(line(), checkpoint=tmp_path / "t.pt", **options)
    assert_same_values(again, curves)
    assert_same_weights(resumed.state_dict(), model.state_dict())


def test_a_loss_that_is_no_number_is_a_mistake_with_a_fix():
    with pytest.raises(ValueError, match="lower learning_rate"):
        fit(line(), learning_rate=1e30, epochs=9)
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        fit(line(), precision="fp16")
