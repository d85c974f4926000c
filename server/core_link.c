#include "server/core_link.h"

OBJECT_DEFINE(core_member, CORE_MEMBER_FIELDS);
OBJECT_DEFINE(core_peer, CORE_PEER_FIELDS);
