"""Accept: take mail in, refuse what must not come in, and answer only after the spool has committed."""
