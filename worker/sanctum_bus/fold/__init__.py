"""The fold: computes a run's state from its stream entries. Pure: no clock, no random numbers, no I/O.

`aggregate` applies entries in order. `dispatch` chooses the handler of an event type. `handlers` change the `state`.
`derived_fields` names everything that they compute. This `__init__` imports nothing, so that views can use
`derived_fields` without the decoder.
"""
