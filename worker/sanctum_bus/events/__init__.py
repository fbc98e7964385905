"""Events: their names, meaning, encoding and decoding.

One stream entry is one event. An entry has the fields `type`, `producer`, `seq` and `event` (a MessagePack
map), or `json` (the same map as JSON text) for people and other languages. `encode` writes entries and needs
only msgpack; `decode` reads them with msgspec.
"""
