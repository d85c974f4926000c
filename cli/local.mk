# What is in cli/: added to by its modules.

# The agent's configuration.
noinst_LIBRARIES += cli/libconfig.a
cli_libconfig_a_SOURCES = \
	cli/config.c cli/config.h \
	cli/config_check.c \
	cli/netaddr.c cli/netaddr.h
CONFIG_LIBS = cli/libconfig.a $(HCL_LIBS)
