"""The fields of the old aggregator's states that are not compared, and why. `*` is one environment."""

#: Reason -> the fields that are not compared, with everything inside them.
_REASONS = {
    "the clock and host of the reader, not of the run, as `recordings/README.md` explains": "captured_at "
    "runtime_seconds staleness_seconds _derived.is_stale vitals envs.*.last_update last_action_timestamp "
    "envs.*.shapley_snapshot",
    "the old display's own state": "start_time connected poll_count training_thread_alive focused_env_id "
    "last_ppo_update last_reward_update",
    "a copy of what is compared in its environment": "rewards",
    "one entry per event, means mixed of new and old values; ours is one mean per inner epoch": "mean_accuracy_history",
    "everything is in it and pushes the seed events out; ours is compared in test_seed_log.py": "event_log",
    "a running tally that drifts with a rollback; ours is derived from the seeds": "envs.*.active_seed_count "
    "seed_lifecycle.active_count",
    "the run's counter and not the environment's episode": "envs.*.best_accuracy_episode",
    "always minus infinity; ours is the best reward": "envs.*.best_reward envs.*.best_reward_epoch",
    "the count of three bad epochs in a row is not part of the status": "envs.*.stall_counter envs.*.degraded_counter",
    "counted per blueprint for the run, not per environment": "envs.*.blueprint_spawns envs.*.blueprint_culls "
    "envs.*.blueprint_prunes envs.*.blueprint_fossilized",
    "derived by the reader from what is compared": "aggregate_mean_reward avg_epochs_in_stage "
    "seed_lifecycle.total_slots seed_lifecycle.germination_rate seed_lifecycle.prune_rate "
    "seed_lifecycle.fossilize_rate seed_lifecycle.blend_success_rate seed_lifecycle.avg_lifespan_epochs "
    "seed_lifecycle.germination_trend seed_lifecycle.prune_trend seed_lifecycle.fossilize_trend "
    "tamiyo.entropy_velocity tamiyo.collapse_risk_score tamiyo._previous_risk tamiyo.entropy_clip_correlation "
    "tamiyo.initial_value_spread tamiyo.infrastructure._derived",
    "of the update before, or ever since; ours keeps the last update and eight histories": "tamiyo.head_nan_latch "
    "tamiyo.head_inf_latch tamiyo.decision_density_history tamiyo.head_slot_grad_norm_prev "
    "tamiyo.head_blueprint_grad_norm_prev tamiyo.head_style_grad_norm_prev tamiyo.head_tempo_grad_norm_prev "
    "tamiyo.head_alpha_target_grad_norm_prev tamiyo.head_alpha_speed_grad_norm_prev "
    "tamiyo.head_alpha_curve_grad_norm_prev tamiyo.head_op_grad_norm_prev tamiyo.head_q_grad_norm_prev",
    "declared there and never filled": "tamiyo.advantage_min tamiyo.advantage_max tamiyo.advantage_raw_mean "
    "tamiyo.advantage_raw_std tamiyo.group_id tamiyo.value_function.value_predictions "
    "tamiyo.value_function.actual_returns tamiyo.value_function.td_errors",
    "not an event's: numbered or kept by the old display": "tamiyo.last_decision.timestamp "
    "tamiyo.last_decision.decision_id tamiyo.last_decision.pinned tamiyo.recent_decisions",
    "from ANALYTICS_SNAPSHOT, which is kept as it was emitted": "tamiyo.action_counts tamiyo.total_actions "
    "tamiyo.cumulative_action_counts tamiyo.cumulative_total_actions tamiyo.episode_return_history "
    "tamiyo.current_episode_return tamiyo.current_episode tamiyo.last_action_success tamiyo.last_action_op "
    "last_action_env_id observation_stats envs.*.cumulative_reward envs.*.peak_cumulative_reward "
    "envs.*.best_reward_components envs.*.best_action_history envs.*.last_action_success "
    "envs.*.gaming_trigger_count envs.*.total_reward_steps envs.*._derived.gaming_rate "
    + " ".join(
        f"envs.*.reward_components.{name}"
        for name in (
            *("escrow_credit_prev", "escrow_credit_target", "escrow_delta", "escrow_credit_next"),
            *("escrow_forfeit", "alpha_shock", "holding_warning", "hindsight_credit", "scaffold_count"),
            *("avg_scaffold_delay", "stable_val_acc"),
        )
    ),
    "from COUNTERFACTUAL_MATRIX_COMPUTED, which is kept as it was emitted": "envs.*.counterfactual_matrix "
    "envs.*.best_counterfactual_matrix envs.*.best_shapley_snapshot",
    "from EPISODE_OUTCOME, which is kept as it was emitted": "episode_stats",
    "from MORPHOLOGY_CAUSAL_LOG, which is kept as it was emitted": "morphology_causal_log",
    "a list of lifecycle steps per environment; ours is the seed event log": "envs.*.lifecycle_events "
    "envs.*.best_lifecycle_events envs.*.best_blueprint_spawns envs.*.best_blueprint_fossilized "
    "envs.*.best_blueprint_prunes",
    "of a governor rollback, which no recording with old states holds": "envs.*.rolled_back "
    "envs.*.rollback_reason envs.*.rollback_timestamp",
}

#: Path in an old state -> reason why it is not compared.
DIFFERENT = {path: reason for reason, paths in _REASONS.items() for path in paths.split()}
