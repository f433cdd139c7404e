"""What every strategy must do.

Strategies that learn the architecture change in every step. What is said of a step then holds of a
fresh strategy; and where the weights' gradients are compared, the architecture's parameters rest.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from supernet.data import Digits, Examples
from supernet.strategies import Strategy
from supernet.testing import strategy_gradients as step
from supernet.testing import strategy_state as state
from supernet.testing.models import Tiny
from supernet.testing.promises import factory
from supernet.testing.strategy_case import StrategyCase, adam
from supernet.train import OptimizerFactory

__all__ = ["PROMISES", "check_strategy"]


PROMISES: tuple[Callable[[StrategyCase], None], ...] = (
    step.the_loss_is_a_finite_detached_scalar,
    step.used_parameters_have_gradients_and_others_none,
    step.unused_parameters_do_not_move,
    step.a_step_is_a_function_of_seed_and_step,
    step.gradients_are_added,
    step.every_parameter_is_used_sooner_or_later,
    state.no_route_outlives_the_step,
    step.a_task_of_two_passes_sees_one_network,
    step.the_shares_of_a_batch_weigh_the_same,
    state.what_it_learned_is_in_the_space,
    state.it_continues_from_its_state,
    state.architecture_parameters_follow_the_examples,
    state.training_learns,
)
"""In the order in which they are checked."""


def check_strategy(
    strategy: Strategy | Callable[[], Strategy],
    model: nn.Module | Callable[[], nn.Module] = Tiny,
    *,
    examples: Examples | None = None,
    optimizer: OptimizerFactory = adam,
) -> None:
    """Check that a strategy keeps what the training loop, checkpoints and searches rely on.

    * The loss of a step is a finite, detached scalar, the mean over the batch.
    * Parameters that a step uses have finite gradients, and all others the gradient None.
    * A step moves no parameter itself, and what the optimizer moves is what has a gradient.
    * A step is a function of weights, seed and step, not of the global random states.
    * Gradients are added to those that are there.
    * Every parameter has a gradient sooner or later.
    * No route outlives the step, nor one whose task raises an error.
    * A task that runs the model twice sees one network.
    * The loss is the mean over all examples, however a strategy divides the batch.
    * What it learned lies in the space, its metrics are finite numbers and its warnings texts.
    * A strategy that is restored from its state continues to the same bits.
    * Architecture parameters, where it learns any, follow the examples.
    * Training with it lowers the loss.

    Where the weights do not learn the task (`Strategy.of_task`) the loss is only finite, some parameters
    may rest, and that it learns is left to tests of its own.

    Args:
        strategy: a class or function without arguments that makes it, or a strategy that is not
            prepared yet, which is copied.
        model: a class or function that makes a model with choices, or a model to be copied; without
            dropout or other random draws of its own. By default one of three small choices, for images
            [batch, 1, 8, 8] of ten classes.
        examples: 250 or more, with classes; by default the digits of scikit-learn.
        optimizer: function that makes the optimizer of the weights.

    Raises:
        AssertionError: a promise is broken; the message names it, what was expected and what was seen.
        TypeError: what is given is neither a strategy nor makes one, or no model.
    """
    case = StrategyCase(
        # A type checker takes no abstract class for a class; none is made here.
        factory(strategy, Strategy),  # type: ignore[type-abstract]
        factory(model, nn.Module),
        examples or Digits().load().train,
        optimizer,
    )
    for kept in PROMISES:
        kept(case)
