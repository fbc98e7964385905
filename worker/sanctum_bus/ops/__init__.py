"""Operations: rebuild, dead letters, removal, the doctor and the embedded server."""
