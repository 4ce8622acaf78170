"""`course train`: every model that the course can train, by the name of its recipe.

A recipe makes a run in a folder. A run goes on where it last saved, so a command that was
interrupted is simply given again.

Taught in:        training
Checked against:  what the runs store
Shapes:           none
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib.agents.tool_stage import TOOL_STAGE, ToolRun
from course_lib.assistant.recipes import STAGES
from course_lib.assistant.runs import Stage, StageRun
from course_lib.authoring.model_card import write_card
from course_lib.compression import distillation_run
from course_lib.evaluation import canary_training, refusals
from course_lib.parallel.run import ParallelRun, as_a_rank
from course_lib.parallel.spread import Parallelism
from course_lib.retrieval import encoder_runs, encoder_training, reranker_runs, reranker_training
from course_lib.rewards.assistant_grpo import GRPO_STAGE, RewardRun
from course_lib.study.record.paths import course_home
from course_lib.training.recipes import RECIPES
from course_lib.training.runs import LoggedRun, RecipeRun
from course_lib.vision.recipes import RECIPES as DRAWINGS
from course_lib.vision.runs import VisionRun

ENCODER = "documentation-encoder"
KINDS: dict[str, type[StageRun]] = {
    GRPO_STAGE.name: RewardRun,
    TOOL_STAGE.name: ToolRun,
    refusals.REFUSAL_STAGE.name: refusals.RefusalRun,
}


@dataclass(frozen=True)
class Wish:
    """What the command line says about a run."""

    name: str
    folder: Path
    seed: int = 0
    start: Path | None = None
    parallel: str | None = None


def train(
    name: str,
    folder: Path | None = None,
    *,
    seed: int = 0,
    start: Path | None = None,
    until: int | None = None,
    parallel: str | None = None,
) -> int:
    """Train a model, or go on training it, until it is ready or `until` steps are done."""
    makers = recipes()
    if name not in makers:
        raise ValueError(f"There is no recipe {name!r}. There are: {', '.join(makers)}.")
    wish = Wish(name, folder or course_home() / "models" / name, seed, start, parallel)
    if parallel:
        return _train_on_ranks(wish, until)
    run = makers[name](wish)
    _go_on(run, wish, until)
    run.store(wish.folder / "model")
    if isinstance(run, RecipeRun):
        write_card(run, wish.folder / "model")
    return _trained(wish)


def recipes() -> dict[str, Callable[[Wish], LoggedRun]]:
    """Return for each recipe, by name, the function that makes its run."""
    stages = [*STAGES.values(), GRPO_STAGE, TOOL_STAGE, refusals.REFUSAL_STAGE]
    return {
        **dict.fromkeys(RECIPES, _recipe),
        **{stage.name: lambda wish, stage=stage: _stage(wish, stage) for stage in stages},
        ENCODER: _encoder,
        reranker_runs.NAME: _reranker,
        canary_training.NAME: _canaries,
        distillation_run.NAME: _distilled,
        **dict.fromkeys(DRAWINGS, _drawings),
    }


def _recipe(wish: Wish) -> RecipeRun:
    _refuse(wish, start=True, seed=True)
    return RecipeRun(RECIPES[wish.name], wish.folder)


def _stage(wish: Wish, stage: Stage) -> StageRun:
    return KINDS.get(stage.name, StageRun)(stage, wish.folder, wish.seed, wish.start)


def _encoder(wish: Wish) -> LoggedRun:
    _refuse(wish, start=True)
    return encoder_runs.EncoderRun(wish.folder, replace(encoder_training.PLAN, seed=wish.seed))


def _reranker(wish: Wish) -> LoggedRun:
    _refuse(wish, start=True)
    return reranker_runs.RerankerRun(wish.folder, replace(reranker_training.PLAN, seed=wish.seed))


def _canaries(wish: Wish) -> LoggedRun:
    _refuse(wish, start=True)
    return canary_training.CanaryRun(wish.folder, wish.seed)


def _distilled(wish: Wish) -> LoggedRun:
    _refuse(wish, start=True)
    return distillation_run.DistillationRun(wish.folder, wish.seed)


def _drawings(wish: Wish) -> LoggedRun:
    return VisionRun(DRAWINGS[wish.name], wish.folder, wish.seed, wish.start)


def _refuse(wish: Wish, *, start: bool = False, seed: bool = False) -> None:
    if seed and wish.seed:
        raise ValueError(f"{wish.name} has one seed, that of its recipe; got --seed {wish.seed}.")
    if start and wish.start:
        raise ValueError(f"{wish.name} starts from new weights; got --start {wish.start}.")


def _train_on_ranks(wish: Wish, until: int | None) -> int:
    if wish.name not in RECIPES or wish.seed or wish.start:
        known = " and ".join(RECIPES)
        raise ValueError(f"--parallel is for {known}, as they are; got {wish.name!r}.")
    spread = Parallelism.parsed(wish.parallel or "")
    with as_a_rank() as comm:
        run = ParallelRun(RECIPES[wish.name], wish.folder, comm, spread)
        _go_on(run, wish, until)
        run.store(wish.folder / "model")
        if comm.rank == 0:
            write_card(run, wish.folder / "model")
        return _trained(wish)


def _go_on(run: LoggedRun, wish: Wish, until: int | None) -> None:
    training = run.training
    print(f"{wish.name}: {training.done} of {training.plan.steps} steps are done.")
    run.go_on(until)


def _trained(wish: Wish) -> int:
    model = wish.folder / "model"
    print(f"The model is in {model}, as transformers loads it; the run in {wish.folder}.")
    return 0
