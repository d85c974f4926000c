/**
 * A task's own root directory: in the child between fork and exec, in a mount namespace of its own.
 *
 *     /             the task's directory
 *     /alloc        the allocation's shared directory
 *     /bin /usr ... what of the host it may see, not writable: the host's own directories, not copies; beneath what
 *                   the task itself has there
 *     /dev          null, zero, full, random, urandom, tty; pts, shm, mqueue
 *     /proc /sys    its own; what changes the machine is not writable
 *     /private      empty: the agent's records stay out of sight
 *
 * All mounts live in this namespace alone, so they go with the task's last process, whoever killed it and whatever
 * became of the agent. Nothing outside can be reached: mount points are found without following links, all that a task
 * can write to has no devices, and the host's own tree is taken away at last.
 *
 * These are steps of a start, in this order: 0 or an errno value. Without a root in the spec they do nothing.
 */
#ifndef CLIENT_EXECUTOR_ROOT_H_
#define CLIENT_EXECUTOR_ROOT_H_

#include "client/executor/wire.h"

/* Become the task's directory's; the old root stays mounted for the next steps. */
int root_enter(const struct executor_spec *spec);

int root_mount_shared(const struct executor_spec *spec);
int root_mount_chroot_env(const struct executor_spec *spec);
int root_make_dev(const struct executor_spec *spec);
int root_mount_proc(const struct executor_spec *spec);
int root_mount_sys(const struct executor_spec *spec);

/* Take the old root away. */
int root_leave_old(const struct executor_spec *spec);

#endif /* CLIENT_EXECUTOR_ROOT_H_ */
