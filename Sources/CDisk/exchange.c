#define _GNU_SOURCE
#include "cdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int cdisk_exchange(const char *one, const char *other) {
#ifdef __linux__
    return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0 ? 0 : errno;
#else
    return renamex_np(one, other, RENAME_SWAP) == 0 ? 0 : errno;
#endif
}
