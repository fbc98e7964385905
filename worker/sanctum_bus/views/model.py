"""The view of a run, of plain values only. `build` makes it; the terminal and other views draw it.

Every text is unchanged from the emitter: the code that draws it makes it safe for its medium. An unknown
value is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.reader import LogLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a person should know about the data of a view.

    Args:
        kind: a fixed word: `torn`, `not_folded`, `behind`, `lost`, `dead_letters`, `problem`.
        text: one phrase.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Which run this is, how far it is, and which prefix of its stream the view shows.

    Args:
        status: `running`, `quiet`, `ended`, another emitted status, or empty without any event.
        task: name of the task.
        runtime_s: seconds from the start of the run to its last event, by the clock of the events.
        quiet_s: seconds since the last event arrived, by the clock of the server.
        version: stream ID of the last folded entry.
        is_current: every entry of the stream is folded.
        behind_s: seconds for which at least one entry has waited to be folded; 0 if the worker is up to date.
        lost: number of lost events by reason.
    """

    run_id: str
    status: str = ""
    task: str = ""
    reward_mode: str = ""
    devices: tuple[str, ...] = ()
    runtime_s: float | None = None
    quiet_s: float | None = None
    version: str = ""
    generation: int = 0
    schema: int = 0
    is_current: bool = True
    behind_s: float = 0.0
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost_total(self) -> int:
        """Number of lost events."""
        return sum(self.lost.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an arm is: episodes of the run and epochs of the current episode; None if unknown."""

    episodes: float | None = None
    episodes_total: float | None = None
    epoch: float | None = None
    epochs_total: float | None = None
    epochs_per_second: float | None = None
    batches_per_hour: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The accuracy of an arm, in percent.

    Args:
        mean: mean over the environments in the last complete epoch.
        history: the last values of `mean`; NaN if one is missing.
        now: mean of the accuracies that the environments reported last.
        best_mean: mean of the environments' best accuracies in this episode.
        rolling: rolling mean over batches.
    """

    mean: float | None = None
    history: tuple[float, ...] = ()
    now: float | None = None
    best_mean: float | None = None
    rolling: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number with its history.

    Args:
        name: name of the field.
        label: short name for people.
        digits: decimals to show.
        history: its last values; NaN if one is missing.
    """

    name: str
    label: str
    value: float | None
    digits: int = 3
    history: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """The last batch; `index` is None before the first one."""

    index: float | None = None
    accuracy: Metric
    reward: Metric
    train_loss: float | None = None
    val_loss: float | None = None
    train_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """The last update of the policy.

    Args:
        head_entropies: name of the head -> entropy.
    """

    updates: float | None = None
    metrics: tuple[Metric, ...] = ()
    head_entropies: Mapping[str, float] = field(default_factory=dict)
    lr: float | None = None
    early_stops: float | None = None
    rollbacks: float | None = None
    entropy_collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedView:
    """One seed slot of an environment; an empty slot has no stage."""

    slot: str
    stage: str = ""
    blueprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvView:
    """One environment of one arm.

    Args:
        label: its number, with the name of the arm before it if the run has several arms.
        best_accuracy: best validation accuracy of this episode, in percent.
        reward: total reward of the last step.
        reward_mean: mean total reward of the last steps of this episode.
        action_confidence: 0 to 1.
        action_shares: action -> percent of the actions of this episode, the most frequent first.
        growth_ratio: (host + fossilized parameters) / host parameters.
        seeds: its slots in the order of the host.
    """

    env_id: int
    label: str
    status: str = ""
    epoch: float | None = None
    accuracy: float | None = None
    accuracy_history: tuple[float, ...] = ()
    best_accuracy: float | None = None
    best_epoch: float | None = None
    reward: float | None = None
    reward_mean: float | None = None
    reward_history: tuple[float, ...] = ()
    last_action: str = ""
    action_confidence: float | None = None
    action_shares: Mapping[str, float] = field(default_factory=dict)
    growth_ratio: float | None = None
    seeds: tuple[SeedView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueprintView:
    """The seeds of one blueprint: how many germinated, and how they ended."""

    name: str
    germinated: float | None = None
    fossilized: float | None = None
    culled: float | None = None
    mean_improvement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestEpisode:
    """One place of the leaderboard."""

    place: int
    peak_accuracy: float | None = None
    env_id: Value = None
    episode: Value = None
    growth_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """One arm of an A/B run, or the whole of a plain run (whose arm has no name).

    Args:
        name: as the names of sections spell it.
        active_seeds: seeds in a live stage.
        stages: stage -> number of seeds in it now, in the order in which a seed passes them.
    """

    name: str
    reward_mode: str = ""
    progress: Progress
    accuracy: Accuracy
    batch: BatchView
    policy: PolicyView
    envs: tuple[EnvView, ...] = ()
    active_seeds: int = 0
    stages: Mapping[str, int] = field(default_factory=dict)
    blueprints: tuple[BlueprintView, ...] = ()
    best: tuple[BestEpisode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run at one version.

    Args:
        header: identity, progress and freshness.
        arms: at least one.
        envs: the environments of all arms.
        stages: the stages of all arms, as in `ArmView`.
        blueprints: those of all arms, the most used first; with the arm's name before it if there are several.
        log: the newest lines of the seed event log, the newest last.
        findings: what a person should know about the data.
        sections: the snapshot itself, by name of section.
    """

    header: Header
    arms: tuple[ArmView, ...]
    envs: tuple[EnvView, ...] = ()
    stages: Mapping[str, int] = field(default_factory=dict)
    blueprints: tuple[BlueprintView, ...] = ()
    log: Sequence[LogLine] = ()
    findings: tuple[Finding, ...] = ()
    sections: Mapping[str, FieldsView] = field(default_factory=dict)
