"""The compared fields of the old aggregator's states, and what they are compared with. `*` is an environment or slot.

`differences.py` has the reasons for the other fields. Together the two name every field of every recorded state.
"""

from typing import Any

from tests.support.old_aggregator import states
from tests.support.old_aggregator.states import Fields, Group, Row

#: Stages that the old aggregator counts.
_COUNTED = ("GERMINATED", "TRAINING", "BLENDING", "HOLDING", "FOSSILIZED")


def _same(names: str, unset: Any = None) -> dict[str, Row]:
    """Return rows of fields that have the same name in both."""
    return {name: Row(name, unset) for name in names.split()}


def _prefixed(prefix: str, names: str, unset: Any = None) -> dict[str, Row]:
    """Return rows of fields that have a prefix in ours."""
    return {name: Row(prefix + name, unset) for name in names.split()}


def _histories(metrics: str) -> dict[str, Row]:
    """Return rows of histories; the old ones keep the last ten values."""
    return {
        f"{name}_history": Row(lambda record, name=name: record[f"{name}_history"][-10:])  # type: ignore[misc]
        for name in metrics.split()
    }


def _sum(tally: str) -> Row:
    """Return a total over all blueprints."""
    return Row(lambda record: sum(one[tally] for one in record["blueprints"].values()))


def _by_blueprint(tally: str) -> Row:
    """Return the nonzero counts by blueprint."""
    return Row(
        lambda record: _counts({key: one[tally] for key, one in record["blueprints"].items()}), was=_counts
    )


def _counts(counts: Fields) -> Fields:
    """Return the nonzero counts in order, without penalties, which are not actions."""
    return {name: count for name, count in sorted(counts.items()) if count and name not in states.PENALTIES}


def _stages(record: Fields) -> Fields:
    counted = {stage: record["stages"][stage] for stage in _COUNTED}
    return {"DORMANT": record["slots"] - sum(counted.values())} | counted


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


COMPARED = [
    Group(
        "",
        states.run,
        _same("max_epochs slot_ids max_batches reward_mode")
        | {
            "run_id": Row("episode_id"),
            "task_name": Row("task"),
            "current_episode": Row("episodes_completed", 0),
            "current_batch": Row("batch.batch_idx", 0),
            "current_epoch": Row("inner_epoch", 0),
            "batch_avg_reward": Row("batch.avg_reward", 0.0),
            "batch_total_episodes": Row("batch.total_episodes", 0),
            "total_events_received": Row("events"),
            "cumulative_germinated": _sum("germinated"),
            "cumulative_fossilized": _sum("fossilized"),
            "cumulative_pruned": _sum("culled"),
            "cumulative_blueprint_spawns": _by_blueprint("germinated"),
            "cumulative_blueprint_fossilized": _by_blueprint("fossilized"),
            "cumulative_blueprint_prunes": _by_blueprint("culled"),
        },
    ),
    Group(
        "run_config",
        states.run_config,
        _same("seed n_episodes lr clip_ratio entropy_coef param_budget resume_path")
        | {"entropy_anneal": Row("entropy_anneal", {})},
    ),
    Group("", states.leaderboard, {"best_runs": Row("best_runs")}),
    Group(
        "",
        states.totals,
        {
            "aggregate_mean_accuracy": Row(lambda record: _mean(record["accuracies"])),
            "slot_stage_counts": Row(_stages),
            "active_slots": Row(lambda record: sum(record["stages"][stage] for stage in _COUNTED)),
            "total_slots": Row("slots"),
        },
    ),
    Group(
        "seed_lifecycle",
        states.lifecycle,
        {
            "germination_count": _sum("germinated"),
            "fossilize_count": _sum("fossilized"),
            "prune_count": _sum("culled"),
        },
    ),
    Group(
        "envs.*",
        states.lasting_envs,
        {
            "env_id": Row("env_id"),
            "host_loss": Row("val_loss", 0.0),
            "host_params": Row("run.host_params", 0),
            "reward_mode": Row(lambda env: env.get("cohort") or env["run.reward_mode"]),
        },
    ),
    Group(
        "envs.*",
        states.episodes,
        {
            "seeds": Row(lambda env: sorted(env["seeds"]), was=sorted),
            "fossilized_count": Row("fossilized", 0),
            "culled_count": Row("culled", 0),
            "pruned_count": Row("culled", 0),
            "fossilized_params": Row("fossilized_params", 0),
        },
    ),
    Group(
        "envs.*._derived",
        states.grown,
        {
            "growth_ratio": Row(
                lambda env: (env["host_params"] + env.get("fossilized_params", 0)) / env["host_params"]
            )
        },
    ),
    Group(
        "envs.*",
        states.envs,
        {
            "host_accuracy": Row("val_accuracy", 0.0),
            "accuracy_history": Row("accuracy_history", []),
            "best_accuracy": Row("best_accuracy", 0.0),
            "best_accuracy_epoch": Row("best_accuracy_epoch", 0),
            "epochs_since_improvement": Row("epochs_since_improvement", 0),
        },
    ),
    Group(
        "envs.*", states.todays_envs, {"best_seeds": Row("best_accuracy_seeds", {}, was=states.contributing)}
    ),
    Group("envs.*", states.judged_envs, {"status": Row("status", "initializing")}),
    Group("envs.*", states.clocked_envs, {"current_epoch": Row("inner_epoch", 0)}),
    Group(
        "envs.*",
        states.steps,
        {
            "reward_history": Row("reward_history", []),
            "action_history": Row(
                "action_history", [], lambda names: [one for one in names if one not in states.PENALTIES]
            ),
            "action_counts": Row(lambda env: _counts(env.get("action_counts", {})), was=_counts),
            "total_actions": Row("total_actions", 0),
        },
    ),
    Group(
        "envs.*._derived",
        states.unpunished,
        {
            "current_reward": Row(lambda env: (env.get("reward_history") or [0.0])[-1]),
            "mean_reward": Row(lambda env: _mean(env.get("reward_history") or [])),
        },
    ),
    Group(
        "envs.*.reward_components",
        states.rewards,
        _prefixed(
            "reward.",
            "base_acc_delta bounded_attribution seed_contribution compute_rent ratio_penalty stage_bonus "
            "fossilize_terminal_bonus blending_warning probation_warning val_acc",
            0.0,
        )
        | {
            "total": Row("reward.total_reward", 0.0),
            "env_id": Row("reward.env_id", 0),
            "last_action": Row("reward.action_name", ""),
        },
    ),
    Group("envs.*.seeds.*", states.seeds, _same("slot_id stage")),
    Group(
        "envs.*.seeds.*",
        states.kept_seeds,
        {
            "blueprint_id": Row("blueprint_id"),
            "alpha": Row("alpha", 0.0),
            "seed_params": Row("params", 0),
            "blend_tempo_epochs": Row("blend_tempo_epochs", 5),
            "alpha_curve": Row("alpha_curve", "LINEAR"),
        },
    ),
    Group(
        "envs.*.seeds.*",
        states.reported_seeds,
        _same(
            "accuracy_delta epochs_in_stage has_vanishing has_exploding contribution_velocity interaction_sum "
            "boost_received upstream_alpha_sum downstream_alpha_sum"
        )
        | {"grad_ratio": Row("gradient_health")},
    ),
    Group(
        "envs.*.seeds.*",
        states.ended_seeds,
        {
            "improvement": Row("improvement", 0.0),
            "cull_reason": Row("reason", ""),
            "prune_reason": Row("reason", ""),
            "auto_culled": Row("auto_culled", False),
            "auto_pruned": Row("auto_culled", False),
            "epochs_total": Row("epochs_total", 0),
            "counterfactual": Row("counterfactual", 0.0),
        },
    ),
    Group(
        "tamiyo",
        states.policy,
        _same(
            "entropy clip_fraction kl_divergence explained_variance policy_loss value_loss grad_norm entropy_coef "
            "ratio_min ratio_max ratio_std dead_layers exploding_layers nan_grad_count inf_grad_count "
            "entropy_collapsed update_time_ms early_stop_epoch inner_epoch value_nrmse ev_low_return_variance "
            "ev_return_variance rollback_attempt_count rollback_unattributed_count advantage_skewness "
            "advantage_kurtosis advantage_positive_ratio log_prob_min log_prob_max decision_density "
            "forced_step_ratio advantage_std_floored pre_norm_advantage_std lstm_h_l2_total lstm_c_l2_total "
            "lstm_h_rms lstm_c_rms lstm_h_env_rms_mean lstm_h_env_rms_max lstm_c_env_rms_mean "
            "lstm_c_env_rms_max lstm_h_max lstm_c_max lstm_has_nan lstm_has_inf joint_ratio_max value_mean "
            "value_std value_min value_max op_q_values op_valid_mask q_variance q_spread q_aux_loss "
            "head_q_gradient_state head_slot_grad_norm head_blueprint_grad_norm head_style_grad_norm "
            "head_tempo_grad_norm head_alpha_target_grad_norm head_alpha_speed_grad_norm "
            "head_alpha_curve_grad_norm head_op_grad_norm head_q_grad_norm head_slot_ratio_max "
            "head_blueprint_ratio_max head_style_ratio_max head_tempo_ratio_max head_alpha_target_ratio_max "
            "head_alpha_speed_ratio_max head_alpha_curve_ratio_max head_op_ratio_max"
        )
        | _histories(
            "policy_loss value_loss grad_norm entropy explained_variance kl_divergence clip_fraction"
        )
        | _same("entropy_loss advantage_mean advantage_std", 0.0)
        | _same("ratio_mean layer_gradient_health", 1.0)
        | {"learning_rate": Row("lr"), "ppo_batch": Row("batch")},
    ),
    Group(
        "tamiyo",
        states.todays_policy,
        _same(
            "head_slot_entropy head_blueprint_entropy head_style_entropy head_tempo_entropy "
            "head_alpha_target_entropy head_alpha_speed_entropy head_alpha_curve_entropy head_op_entropy"
        )
        | {"ppo_data_received": Row(lambda policy: policy["updates"] > 0)},
    ),
    Group(
        "tamiyo.value_function",
        states.in_policy("value_function"),
        _same(
            "v_return_correlation td_error_mean td_error_std bellman_error return_p10 return_p50 return_p90 "
            "return_skewness return_variance"
        ),
    ),
    Group(
        "tamiyo.gradient_quality",
        states.in_policy("gradient_quality"),
        _same("gradient_cv clip_fraction_positive clip_fraction_negative"),
    ),
    Group(
        "tamiyo.infrastructure",
        states.in_policy("infrastructure"),
        _same(
            "cuda_memory_allocated_gb cuda_memory_reserved_gb cuda_memory_peak_gb cuda_memory_fragmentation "
            "dataloader_wait_ratio"
        )
        | _prefixed("run.", "compile_enabled compile_backend compile_mode", ""),
    ),
    Group(
        "tamiyo.last_decision",
        states.decisions,
        {
            "slot_states": Row("decision.slot_states"),
            "host_accuracy": Row("val_accuracy"),
            "chosen_action": Row("decision.action_name"),
            "chosen_slot": Row("decision.action_slot"),
            "confidence": Row("decision.action_confidence"),
            "expected_value": Row("decision.value_estimate"),
            "actual_reward": Row("decision.total_reward"),
            "alternatives": Row("decision.alternatives"),
        },
    ),
]
