"""What does a party ask for when a round begins, a block is complete, or an epoch's loss is?"""

from collections import Counter
from dataclasses import replace

from hansa.protocols.machine import Effect, Step
from hansa.protocols.vertical.course import Course
from hansa.protocols.vertical.messages import Residual
from hansa.protocols.vertical.stages import Closing, State, Training, Working


def next_round(course: Course) -> Step[State]:
    """Begin a batch: hosts with their scores, the guest with what has come of them early."""
    state = Working(course)
    if course.seat.me == course.seat.guest:
        return with_ready_blocks(state)
    return Step(state, tuple(course.scoring(block) for block in range(course.blocks)))


def with_ready_blocks(state: Training) -> Step[State]:
    """Have residuals made of every block for which all hosts' scores are here."""
    if not isinstance(state, Working):
        return Step(state)
    inbox, now = state.course.inbox, state.course.round
    hosts = Counter(each.block for each in inbox.scores if each.round == now)
    effects: tuple[Effect, ...] = ()
    for block in sorted(block for block, so_far in hosts.items() if so_far == len(state.course.seat.hosts)):
        course = state.course
        effects = (*effects, course.residuals(block))
        left = replace(course, inbox=course.inbox.without(now, block))
        state = replace(state, course=left, begun=(*state.begun, block))
    return Step(state, effects)


def with_residual(state: Working, message: Residual) -> Step[State]:
    """Have residuals multiplied with our columns: a large batch's block at once, a small batch's all together."""
    course, residuals = state.course, (*state.residuals, message)
    if course.folds_whole and len(residuals) < course.blocks:
        return Step(replace(state, residuals=residuals))
    return Step(replace(state, residuals=()), course.folding(residuals))


def with_total(state: Closing) -> Step[State]:
    """Have the epoch's loss summed once all parts are here; only the guest ever has any."""
    course = state.course
    complete = course.seat.me == course.seat.guest and len(course.inbox.terms) == len(course.seat.hosts)
    return Step(state, (course.totalling(),) if complete else ())
