/** Folders of an agent's own: made with the rights they are to have, whatever the process's umask is. */
#ifndef LIB_FOLDER_H_
#define LIB_FOLDER_H_

#include <sys/types.h>

/* All folders of a path: the last one gets just this mode, others that are missing 0755 by the umask; one that is there is
 * left as it is. 0 or an errno code. */
int folder_make(const char *path, mode_t mode);

/* The same, and one that is there loses what goes beyond the mode; for folders that are nobody's but the agent's. */
int folder_keep(const char *path, mode_t mode);

#endif /* LIB_FOLDER_H_ */
