"""The stages of a seed: their order, and what the fold and the views conclude from them. Unknown stages are live."""

#: Stages of a living seed in order; FOSSILIZED ends a seed that succeeded.
STAGES = (
    "DORMANT",
    "GERMINATED",
    "TRAINING",
    "BLENDING",
    "SHADOWING",
    "PROBATIONARY",
    "HOLDING",
    "FOSSILIZED",
)

#: Stages of a seed that was removed, or of a slot that waits for the next seed.
ENDED = ("CULLED", "PRUNED", "EMBARGOED", "RESETTING")

#: Stages in which a slot holds no growing seed.
NOT_LIVE = frozenset({"FOSSILIZED", "CULLED", "PRUNED", "EMBARGOED", "RESETTING", "DORMANT"})

#: Seeds in one of these stages contribute to the best accuracy of their environment.
CONTRIBUTING = frozenset({"FOSSILIZED", "PROBATIONARY", "HOLDING", "BLENDING"})

#: Stages of a seed that was culled, in either of the emitters' words.
CULLED_STAGES = frozenset({"CULLED", "PRUNED"})
