# What is in proto/: added to by its modules.
