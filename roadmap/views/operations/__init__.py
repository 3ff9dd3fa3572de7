"""Operations that a reader can touch: one small interactive drawing per idea of the roadmap."""
