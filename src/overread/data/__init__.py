"""From files to patients to arrays."""
