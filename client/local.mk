# What is in client/: added to by its modules.
