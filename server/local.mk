# What is in server/: added to by its modules.
