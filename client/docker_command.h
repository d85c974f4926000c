/** Commands in containers; for client/driver_docker.c. The table's functions, but for whose container it is. */
#ifndef CLIENT_DOCKER_COMMAND_H_
#define CLIENT_DOCKER_COMMAND_H_

#include "client/driver_command.h"

/* As struct driver says, in the container `id` of the engine at `socket`; the texts are copied. */
int docker_command(const char *socket, const char *id, struct driver_command *cmd, const int fds[3],
                   struct driver_error *error);
void docker_command_kill(struct driver_command *cmd);
void docker_command_resize(struct driver_command *cmd, unsigned rows, unsigned columns);

#endif /* CLIENT_DOCKER_COMMAND_H_ */
