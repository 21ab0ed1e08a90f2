"""What a snapshot asks of the runtime: to be prepared before its function is
known, to become that function, and to be unlike all other clones.

    prepare ──► preload, rehearse ──► environment ══ snapshot ══► client, unique
"""
