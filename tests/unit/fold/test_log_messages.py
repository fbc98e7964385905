"""The messages of the seed event log, word by word."""

from typing import Any

import pytest

from tests.support.fold_run import Run


def _message(event_type: str, data: dict[str, Any], **envelope: Any) -> str:
    run = Run()
    needed = {"env_id": 0} if event_type.startswith("SEED_") else {}
    run.event(event_type, needed | data, **({"slot_id": "r0c0"} | envelope))
    (message,) = run.messages()
    return message


@pytest.mark.parametrize(
    ("blueprint", "message"),
    [("conv_light", "r0c0 germinated (conv_light)"), (None, "r0c0 germinated"), ("", "r0c0 germinated")],
)
def test_germinated(blueprint: str | None, message: str) -> None:
    """The message has slot and blueprint; an unknown blueprint is left out."""
    assert _message("SEED_GERMINATED", {"blueprint_id": blueprint}) == message


def test_stage_changed() -> None:
    """The message has both stages, in either spelling."""
    assert _message("SEED_STAGE_CHANGED", {"from": "TRAINING", "to": "BLENDING"}) == "r0c0 TRAINING->BLENDING"
    assert _message("SEED_STAGE_CHANGED", {"from_stage": "A", "to_stage": "B"}) == "r0c0 A->B"


@pytest.mark.parametrize(
    ("improvement", "part"),
    [
        (2.3, "+2.3%, "),
        (2.34, "+2.3%, "),
        (-1.2, "-1.2%, "),
        (0, "+0.0%, "),
        (0.0, "+0.0%, "),
        (-0.0, "+0.0%, "),
        (0.04, "+0.0%, "),
        (-0.04, "+0.0%, "),
        (-0.06, "-0.1%, "),
        (12, "+12.0%, "),
        (None, ""),
    ],
)
def test_fossilized(improvement: float | None, part: str) -> None:
    """The message has the improvement with its sign, +0.0% if it rounds to zero; an unknown one is left out."""
    data = {"improvement": improvement, "blueprint_id": "conv_light"}
    assert _message("SEED_FOSSILIZED", data) == f"r0c0 fossilized ({part}conv_light)"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"improvement": 2.3}, "r0c0 fossilized (+2.3%)"),
        ({"improvement": 2.3, "blueprint_id": None}, "r0c0 fossilized (+2.3%)"),
        ({}, "r0c0 fossilized"),
        ({"improvement": None, "blueprint_id": None}, "r0c0 fossilized"),
    ],
)
def test_fossilized_without_all(data: dict[str, Any], message: str) -> None:
    """Unknown parts are left out, and the brackets too if nothing is known."""
    assert _message("SEED_FOSSILIZED", data) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"reason": "stagnation", "blueprint_id": "conv_light"}, "r0c0 culled (stagnation, conv_light)"),
        (
            {"reason": "stagnation", "blueprint_id": "norm", "auto_culled": True},
            "r0c0 auto-culled (stagnation, norm)",
        ),
        ({"reason": "x", "auto_culled": False}, "r0c0 culled (x)"),
        ({"reason": "", "blueprint_id": "norm"}, "r0c0 culled (norm)"),
        ({"reason": None, "blueprint_id": None, "auto_culled": None}, "r0c0 culled"),
        ({}, "r0c0 culled"),
    ],
)
def test_culled(data: dict[str, Any], message: str) -> None:
    """The message has reason and blueprint if they are known, and `auto-culled` for an automatic cull."""
    assert _message("SEED_CULLED", data) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"reason": "x", "blueprint_id": "norm"}, "r0c0 pruned (x, norm)"),
        ({"reason": "governor_nan", "auto_pruned": True}, "r0c0 auto-pruned (governor_nan)"),
        ({}, "r0c0 pruned"),
    ],
)
def test_pruned(data: dict[str, Any], message: str) -> None:
    """The message has `pruned` if the emitter's type is SEED_PRUNED."""
    assert _message("SEED_PRUNED", data) == message


def test_the_blueprint_of_the_seed_is_known() -> None:
    """If the event does not name the blueprint, the message has that of the seed."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed("CULLED", reason="x")
    run.germinate(blueprint_id="mlp")
    run.seed("FOSSILIZED", improvement=1.0)

    assert run.messages()[1::2] == ["r0c0 culled (x, norm)", "r0c0 fossilized (+1.0%, mlp)"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"passed": True}, "r0c0 gate G2 passed"),
        ({"passed": True, "checks_failed": ["a"], "message": "fine"}, "r0c0 gate G2 passed"),
        ({"passed": False, "checks_failed": ["first", "second"]}, "r0c0 gate G2 failed (first)"),
        ({"passed": False, "checks_failed": ["first"], "message": "why"}, "r0c0 gate G2 failed (first)"),
        ({"passed": False, "checks_failed": [], "message": "why"}, "r0c0 gate G2 failed (why)"),
        ({"passed": False, "checks_failed": None, "message": "why"}, "r0c0 gate G2 failed (why)"),
        ({"passed": False, "checks_failed": [], "message": None}, "r0c0 gate G2 failed"),
        ({"passed": False}, "r0c0 gate G2 failed"),
    ],
)
def test_gate(data: dict[str, Any], message: str) -> None:
    """The message has the gate and its verdict. The reason of a failure is the first failed check, or else the message."""
    assert _message("SEED_GATE_EVALUATED", {"gate": "G2", **data}) == message


def test_gate_by_the_envelopes_message() -> None:
    """Without a message in the data, the envelope's message counts."""
    data = {"gate": "G2", "passed": False, "checks_failed": []}
    assert _message("SEED_GATE_EVALUATED", data, message="why") == "r0c0 gate G2 failed (why)"


@pytest.mark.parametrize("data", [{}, {"passed": None}])
def test_a_gate_without_a_verdict(data: dict[str, Any]) -> None:
    """With a null verdict, the line states neither that the gate passed nor that it failed."""
    message = _message("SEED_GATE_EVALUATED", {"gate": "G2", **data})

    assert message.startswith("r0c0 gate G2")
    assert "failed" not in message
    assert "passed" not in message


def test_a_message_is_one_line() -> None:
    """Only the first line of a gate's message is in the log."""
    message = _message("SEED_GATE_EVALUATED", {"gate": "G2", "passed": False, "message": "why\nand how"})

    assert "\n" not in message


@pytest.mark.parametrize(
    ("epoch", "message"), [(3, "KL early stop at epoch 3"), (0.0, "KL early stop at epoch 0")]
)
def test_early_stop(epoch: float, message: str) -> None:
    """An early stop names its epoch as a whole number; 0.0 is epoch 0."""
    assert _message("PPO_UPDATE_COMPLETED", {"early_stop_epoch": epoch}) == message


def test_a_rollback_is_no_early_stop() -> None:
    """The notice of a rollback is not an update, so it has no early stop."""
    run = Run()

    run.event("PPO_UPDATE_COMPLETED", {"skipped": True, "early_stop_epoch": 3})

    assert run.lines() == []


FULL = {
    "batch_idx": 12,
    "avg_accuracy": 71.38,
    "rolling_accuracy": 70.2,
    "avg_reward": 0.31,
    "episodes_completed": 192,
    "total_episodes": 320,
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "batch 12: accuracy 71.4, rolling 70.2, reward +0.31 (episode 192/320)"),
        ({"avg_reward": -14.2}, "batch 12: accuracy 71.4, rolling 70.2, reward -14.20 (episode 192/320)"),
        ({"rolling_accuracy": None}, "batch 12: accuracy 71.4, reward +0.31 (episode 192/320)"),
        ({"avg_accuracy": None}, "batch 12: rolling 70.2, reward +0.31 (episode 192/320)"),
        ({"avg_reward": None}, "batch 12: accuracy 71.4, rolling 70.2 (episode 192/320)"),
        ({"total_episodes": None}, "batch 12: accuracy 71.4, rolling 70.2, reward +0.31 (episode 192)"),
        ({"episodes_completed": None}, "batch 12: accuracy 71.4, rolling 70.2, reward +0.31"),
        ({"batch_idx": None}, "batch: accuracy 71.4, rolling 70.2, reward +0.31 (episode 192/320)"),
        (dict.fromkeys(("avg_accuracy", "rolling_accuracy", "avg_reward")), "batch 12 (episode 192/320)"),
        (dict.fromkeys(FULL), "batch"),
    ],
)
def test_batch(changed: dict[str, Any], message: str) -> None:
    """The message has batch, accuracy, rolling accuracy, reward and progress; unknown parts are left out."""
    assert _message("BATCH_EPOCH_COMPLETED", FULL | changed) == message


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("Loaded best weights", "Loaded best weights"),
        ("first\nsecond", "first"),
        ("x" * 300, "x" * 200),
        ("ü" * 201, "ü" * 200),
        ("", "CHECKPOINT_LOADED"),
        (None, "CHECKPOINT_LOADED"),
    ],
)
def test_others(sent: str | None, message: str) -> None:
    """The message is the first line of the event's message, at most 200 characters, or else the type."""
    assert _message("CHECKPOINT_LOADED", {}, message=sent) == message


def test_a_canonical_name_wins() -> None:
    """If an event has a field under its canonical name and under an alias, the message has the canonical one."""
    data = {"to": "BLENDING", "to_stage": "HOLDING", "from": "TRAINING", "from_stage": "DORMANT"}

    assert _message("SEED_STAGE_CHANGED", data) == _message(
        "SEED_STAGE_CHANGED", {"from": "TRAINING", "to": "BLENDING"}
    )
