"""`Trainer`: a training loop that shows progress, keeps a history, and can be stopped and resumed at any moment."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from tinygrad_edu import saving
from tinygrad_edu.autograd.modes import no_grad
from tinygrad_edu.errors import AnomalyError, DataError
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.utils import clip_grad_norm_
from tinygrad_edu.ops.movement import cat
from tinygrad_edu.optim.lr_scheduler import ReduceLROnPlateau
from tinygrad_edu.optim.optimizer import Optimizer
from tinygrad_edu.random import manual_seed
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.train.arguments import Plan, check_trainer
from tinygrad_edu.train.batches import Evaluating, inputs_of, samples, split
from tinygrad_edu.train.callbacks import Callback, as_callback
from tinygrad_edu.train.checkpoint import Place, check_same, prepare_folder, put_back, state_of
from tinygrad_edu.train.history import History
from tinygrad_edu.train.interrupts import Interrupts
from tinygrad_edu.train.metrics import Metric, Running
from tinygrad_edu.train.progress import Progress, progress_for
from tinygrad_edu.train.randomness import States, generators_of, get_states, set_states

END = object()  # of a pass over the training data


class Trainer:
    """Fits a model to batches.  The loop is `_run` and `_train_step` below, short enough to read.

    model: called as model(*inputs).  loss: f(scores, targets) -> mean over the batch, such as F.cross_entropy.
    metrics: {"accuracy": accuracy}; each f(scores, targets) -> mean over the batch.
    scheduler: any of optim.lr_scheduler, stepped after each epoch (after each `validate_every` steps if fit is given
    that), or after each step for schedule_every="step"; a ReduceLROnPlateau gets the validation loss.
    callbacks: `Callback` objects; a plain function of the trainer is called at the end of each epoch.
    max_norm: gradients are clipped to this norm.
    checkpoint: a path, written at the end and after each epoch, or every `checkpoint_every` steps.  See `fit`.
    seed: given to manual_seed when the first fit begins; the model's weights were drawn before.
    progress: a bar on a terminal, a line per row elsewhere, nothing for False.  name: shown before it.
    on_nan: what a NaN or infinite loss does: "raise" AnomalyError, "stop" (the row keeps it), or "continue".

    A batch is a tuple or list: all but its last go to the model, the last is the targets.
    `step` and `epoch` count what is done, `history` keeps the rows, `last_loss` is the last step's.
    Raises TypeError and ValueError for arguments that cannot work.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Tensor],
        *,
        metrics: Mapping[str, Metric] | None = None,
        scheduler: Any = None,
        schedule_every: Literal["epoch", "step"] = "epoch",
        callbacks: Sequence[Callback | Callable[[Trainer], Any]] = (),
        max_norm: float | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: Literal["epoch"] | int = "epoch",
        seed: int | None = None,
        progress: bool = True,
        name: str = "",
        on_nan: Literal["raise", "stop", "continue"] = "raise",
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.metrics = dict(metrics or {})
        self.scheduler, self.schedule_every = scheduler, schedule_every
        self.callbacks = [as_callback(callback) for callback in callbacks]
        self.max_norm = max_norm
        self.checkpoint = None if checkpoint is None else os.fspath(checkpoint)
        self.checkpoint_every = checkpoint_every
        self.seed, self.progress, self.name, self.on_nan = seed, progress, name, on_nan
        check_trainer(self)
        self.history = History()
        self.last_loss = math.nan
        self._at = Place(self._empty_row())
        self._generators: dict[str, Any] = generators_of(model)
        self._loader: Any = None  # of the fit under way or the last one
        self._fitted_with: dict[str, str] = {}
        self._loaded: dict[str, Any] | None = None  # a state whose random states the next fit has to put back
        self._before_validation: States | None = None
        self._whole = True  # False inside a step, where what stands in memory belongs to no moment
        self._clock = 0.0

    @property
    def step(self) -> int:
        """Optimiser steps taken."""
        return self._at.step

    @property
    def epoch(self) -> int:
        """Passes over the training data completed."""
        return self._at.epoch

    # -- fit ----------------------------------------------------------------------------------------------------------

    def fit(
        self,
        train_loader: Any,
        validation_loader: Any = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        validate_every: int | None = None,
        resume: bool = False,
    ) -> History:
        """Train until `epochs` passes, or `steps` steps, have been made in all, and return the history.

        A row of the history is an epoch, or `validate_every` steps: "train ..." are the means of loss and metrics while
        training, over samples, "validation ..." those of `validation_loader` in evaluation mode.  A second call goes on
        where the first ended: fit(..., epochs=3) and then fit(..., epochs=5) make two more.
        resume: go on from the checkpoint, if that file exists.  A run that was killed at any moment and is started
        again with the same arguments ends with the same weights, states, history and random numbers, bit for bit.  For
        that, the batches of a broken pass are read again and skipped.  What data sets draw in worker threads must come
        from `get_worker_info().seed`, and the workers not be persistent; samplers must draw when iter() is called, as
        ours do; and what a callback changes beside weights and rates is its own to restore.
        Raises ValueError unless exactly one of epochs and steps is given; DataError for a checkpoint of another run;
        AnomalyError for a loss that is not finite.
        """
        plan = Plan(train_loader, validation_loader, epochs, steps, validate_every)
        if isinstance(self.scheduler, ReduceLROnPlateau) and validation_loader is None:
            raise ValueError("Trainer.fit: ReduceLROnPlateau looks at the validation loss; give a validation_loader")
        if self.checkpoint is not None:
            prepare_folder(self.checkpoint)
        if resume:
            if self.checkpoint is None:
                raise ValueError("Trainer.fit: resume=True needs a file to go on from; give Trainer(checkpoint=path)")
            if os.path.exists(self.checkpoint):
                self.load(self.checkpoint)
        else:
            self._at.stopped = False
        self._take_up(plan)
        if self._at.finished and (self._at.stopped or plan.reached(self.epoch, self.step)):
            self._restore_randomness()
            return self.history
        self._at.finished = False
        progress = progress_for(self.progress, self.name)
        try:
            with Interrupts() as interrupts:
                self._call("on_fit_start")
                self._restore_randomness()
                self._run(plan, progress, interrupts)
                self._call("on_fit_end")
                self._at.finished = True
                self._write_checkpoint()
        except KeyboardInterrupt:
            self._keep_what_is_whole()
            raise
        finally:
            self._before_validation = None
            progress.close()
        return self.history

    def _take_up(self, plan: Plan) -> None:
        """Make ready for the loop, from scratch or from where the run stands."""
        if self._loaded is not None:
            check_same(plan.describe(), self._loaded["fitted_with"] or plan.describe(), "the state that was loaded")
        elif plan.train_loader is not self._loader:  # other data: a pass and a row of its own
            self._at.batches_read, self._at.pass_began, self._at.row = 0, None, self._empty_row()
        self._loader, self._fitted_with = plan.train_loader, plan.describe()
        loaders = {"train_loader": plan.train_loader, "validation_loader": plan.validation_loader}
        self._generators = generators_of(self.model, **loaders)
        if self.seed is not None and self.step == 0 and self._loaded is None:
            manual_seed(self.seed)
        if not self.model.training:  # else a part that was put into eval() by hand stays there
            self.model.train()
        self._whole, self._clock = True, time.perf_counter()

    def _restore_randomness(self) -> None:
        """After on_fit_start, so that what a callback draws there cannot move a run that goes on."""
        if self._loaded is not None:
            fitted = self._loaded["fitted_with"]  # nothing in a state that was saved before any fit
            set_states(self._generators if fitted else generators_of(self.model), self._loaded["random"])
            self._loaded = None

    def _run(self, plan: Plan, progress: Progress, interrupts: Interrupts) -> None:
        """The loop.  Between two turns the state is whole: a checkpoint written there goes on bit for bit."""
        at = self._at
        batches: Iterator[Any] | None = None
        if plan.steps is not None:
            progress.start("step", at.step, plan.steps)
        while True:
            interrupts.check()
            if plan.validate_every is not None and at.row.steps >= plan.validate_every:
                self._end_row(plan, progress, interrupts, schedule=True)
            if at.stopped or plan.reached(at.epoch, at.step):
                break
            if batches is None:
                batches = self._open_pass(plan)
                if plan.epochs is not None:
                    progress.start(f"epoch {at.epoch + 1}/{plan.epochs}", at.batches_read, plan.batches)
            self._whole = False
            batch = next(batches, END)
            if batch is END:
                self._whole, batches = True, None
                self._end_epoch(plan, progress, interrupts)
                continue
            self._train_step(batch)
            at.batches_read += 1
            self._whole = True
            progress.step(at.batches_read if plan.steps is None else at.step, self.last_loss)
            self._call("on_step_end")
            if self.checkpoint_every != "epoch" and at.step % self.checkpoint_every == 0:
                self._write_checkpoint()
        if at.batches_read and at.batches_read == plan.batches:  # the last step was the last of its epoch
            self._end_epoch(plan, progress, interrupts)
        if at.row.steps:
            self._end_row(plan, progress, interrupts, schedule=False)

    def _train_step(self, batch: Any) -> None:
        """One step: forward, backward, update."""
        inputs, targets = split(batch)
        scores = self.model(*inputs)
        loss = self.loss(scores, targets)
        self.last_loss = loss.item()  # on a CPU reading a number waits for nothing
        self._at.rate = float(self.optimizer.param_groups[0]["lr"])
        finite = math.isfinite(self.last_loss) or self._not_finite()
        self._at.row.add({"loss": self.last_loss, **self._measure(scores, targets)}, samples(targets))
        if finite:
            self.optimizer.zero_grad()
            loss.backward()
            if self.max_norm is not None:
                clip_grad_norm_(self.model.parameters(), self.max_norm)
            self.optimizer.step()
            self._at.step += 1
            if self.schedule_every == "step" and self.scheduler is not None:
                self.scheduler.step()

    def _measure(self, scores: Any, targets: Any) -> dict[str, float]:
        if not self.metrics:
            return {}
        with no_grad():
            scores = scores.detach() if isinstance(scores, Tensor) else scores
            return {name: float(metric(scores, targets)) for name, metric in self.metrics.items()}

    def _not_finite(self) -> bool:
        """Whether to go on after such a loss; what it would do to the weights is not done."""
        if self.on_nan == "raise":
            raise AnomalyError(
                f"Trainer: the loss is {self.last_loss} at step {self.step + 1}, learning rate {self._at.rate:g}; the "
                "weights are still those before this step. Lower the learning rate or set max_norm=1.0; run fit inside "
                "`with autograd.detect_anomaly():`, or call find_nan(loss), to see which op made it. on_nan='stop' "
                "ends the fit instead and keeps the row"
            )
        self._at.stopped = self.on_nan == "stop"
        return not self._at.stopped

    def _open_pass(self, plan: Plan) -> Iterator[Any]:
        """An iterator over the training data, at the batch where the run stands."""
        at = self._at
        if at.pass_began is None:
            at.pass_began = get_states(self._generators)
            return iter(plan.train_loader)
        now = get_states(self._generators)
        set_states(self._generators, at.pass_began)
        batches = iter(plan.train_loader)  # draws the same order again
        for k in range(at.batches_read):  # read, not only skipped: reading may draw random numbers, too
            if next(batches, END) is END:
                raise DataError(
                    f"Trainer.fit: train_loader ends after {k} batches, but {at.batches_read} were read before"
                )
        set_states(self._generators, now)
        return batches

    def _end_row(self, plan: Plan, progress: Progress, interrupts: Interrupts, schedule: bool) -> None:
        self._add_row(plan, progress, interrupts)
        if schedule:
            self._step_schedule()
        if plan.validation_loader is not None:
            self._call("on_validation_end")

    def _end_epoch(self, plan: Plan, progress: Progress, interrupts: Interrupts) -> None:
        """All counting comes before the callbacks, so that what they save is whole."""
        at = self._at
        if not at.batches_read:
            raise ValueError("Trainer.fit: train_loader gave no batch; is the data set empty, or drop_last too strict?")
        by_epoch = plan.validate_every is None
        new_row = by_epoch and at.row.steps > 0
        if new_row:
            self._add_row(plan, progress, interrupts)
        if by_epoch:
            self._step_schedule()
        at.epoch += 1
        at.batches_read, at.pass_began = 0, None
        if new_row and plan.validation_loader is not None:
            self._call("on_validation_end")
        self._call("on_epoch_end")
        if self.checkpoint_every == "epoch":
            self._write_checkpoint()

    def _add_row(self, plan: Plan, progress: Progress, interrupts: Interrupts) -> None:
        """Validate, and write the row into the history."""
        values = {f"train {name}": mean for name, mean in self._at.row.means().items()}
        if plan.validation_loader is not None:
            self._before_validation = get_states(self._generators)  # a fit that is interrupted in it validates again
            measured = self._evaluate(plan.validation_loader, interrupts)
            values.update({f"validation {name}": mean for name, mean in measured.items()})
            self._before_validation = None
        self._count_seconds()
        self.history.add(values, self.step, self._at.rate, self._at.seconds)
        self._at.row = self._empty_row()
        if plan.validate_every is None and plan.epochs is not None:
            label = f"epoch {self.epoch + 1}/{plan.epochs}"
        else:
            label = f"step {self.step}" + ("" if plan.steps is None else f"/{plan.steps}")
        progress.row(label, values, self._at.seconds)

    def _empty_row(self) -> Running:
        return Running(["loss", *self.metrics])

    def _step_schedule(self) -> None:
        if self.scheduler is None or self.schedule_every == "step":
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(self.history["validation loss"][-1])
        else:
            self.scheduler.step()

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self._at.seconds, self._clock = self._at.seconds + now - self._clock, now

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self)

    def stop(self) -> None:
        """End the fit after the step or the epoch under way; for callbacks."""
        self._at.stopped = True

    def _keep_what_is_whole(self) -> None:
        """After an interrupt: the checkpoint, and how to go on."""
        if self.checkpoint is None:
            return
        if self._whole:
            self._write_checkpoint()
            what = f"interrupted after step {self.step}; wrote {self.checkpoint!r}"
        else:
            what = f"interrupted inside step {self.step + 1}, which is lost; {self.checkpoint!r} stays as it was"
        print(f"Trainer: {what}. The same call with resume=True goes on from there.", file=sys.stderr)

    # -- without training ---------------------------------------------------------------------------------------------

    def evaluate(self, loader: Any) -> dict[str, float]:
        """{"loss": ..., and each metric}: means over all samples, in evaluation mode; each module gets its mode back.

        Raises ValueError for a loader without batches.
        """
        return self._evaluate(loader, None)

    def _evaluate(self, loader: Any, interrupts: Interrupts | None) -> dict[str, float]:
        running = self._empty_row()
        with Evaluating(self.model), no_grad():
            for batch in loader:
                if interrupts is not None:
                    interrupts.check()
                inputs, targets = split(batch)
                scores = self.model(*inputs)
                values = {"loss": self.loss(scores, targets).item(), **self._measure(scores, targets)}
                running.add(values, samples(targets))
        if not running.steps:
            raise ValueError("Trainer.evaluate: the loader gave no batch; is the data set empty?")
        return running.means()

    def predict(self, loader: Any) -> Tensor:
        """The scores of every sample, in the loader's order, in evaluation mode.

        A batch is (input, ..., targets), whose targets are left out, or one input alone.
        Raises ValueError for a loader without batches.
        """
        with Evaluating(self.model), no_grad():
            scores = [self.model(*inputs_of(batch)) for batch in loader]
        if not scores:
            raise ValueError("Trainer.predict: the loader gave no batch; is the data set empty?")
        return cat(scores, 0)

    # -- saving -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that a fit needs to go on, as `save` can store it; tensors of model and optimiser share their memory."""
        return state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state; random generators are put back when `fit` goes on.

        Raises DataError, naming what differs, for the state of another model, optimiser or setting.
        """
        put_back(self, state, "the state")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `state_dict()` to a file, whole or not at all."""
        saving.save(self.state_dict(), path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what `save`, or a fit with a checkpoint, wrote.  Raises DataError as `load_state_dict`."""
        put_back(self, saving.load(path), repr(os.fspath(path)))

    def _write_checkpoint(self) -> None:
        if self.checkpoint is not None:
            self._count_seconds()
            self.save(self.checkpoint)
