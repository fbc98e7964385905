"""The wire: one stream entry is one event.

An entry has the fields `type`, `producer`, `seq` and `event` (a MessagePack map), or `json` (the same map as JSON text)
for people and other languages. `encode` writes entries and needs msgpack only; `decode` reads them, with msgspec.
"""
