// One call that Swift's import of the C library leaves out, since it is no POSIX.
#pragma once

// Lets two names of one file system trade what they stand for, at once: at no time does either name nothing.
//
// Returns 0, or an errno: EINVAL, ENOSYS or ENOTSUP where the file system cannot do it.
int cdisk_exchange(const char *one, const char *other);
