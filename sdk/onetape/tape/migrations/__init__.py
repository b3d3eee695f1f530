"""The database's form, as a row of steps that only go forward."""
