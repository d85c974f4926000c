# What is in cli/: added to by its modules.
