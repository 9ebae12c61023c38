// Keeps, for power.py, what a power loss would take from the files of one folder. Loaded with LD_PRELOAD.
//
//     POWERLOSS_FOLDER   the folder, as realpath() has it
//     POWERLOSS_NOTES    another one, for the notes; nothing else is in it
//     POWERLOSS_LIES     a part of names: of such files fsync and fdatasync do nothing and say that they did it, as a bad disk does
//
// Notes, of a file a/b:
//
//     a%b.changes   what was done to it since it was last synced: struct change, the bytes that were there, the new bytes, and so on
//     a%b.new       it was made, and its folder was not synced since
//
// They are written with the call and not after it, and so survive SIGKILL as the page cache does. One that SIGKILL tore or kept from being
// written is of a change that nobody was told of; it counts as one that reached the disk.
//
// SQLite's -shm is mapped, and is made anew after a power loss; what is in a .lock is only said to people. Both are left out. A call that
// is not followed here, and would go round the notes, ends the process.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, TRUNCATE };

struct change {
    uint64_t kind, offset, size;  // the size before it
    uint64_t old_length, new_length;
};

typedef char path_t[PATH_MAX + 64];

static const char *folder, *notes, *lies;
// Held through the calls themselves: the notes have the order in which the disk heard of it.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
// In nanoseconds, as of a disk. In memory it takes none, and a loss would hardly ever come before it.
static const long sync_time = 4000000;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("POWERLOSS_FOLDER");
    notes = getenv("POWERLOSS_NOTES");
    lies = getenv("POWERLOSS_LIES");
    if (!notes) folder = NULL;
}

static void refuse(const char *what, const char *name) {
    fprintf(stderr, "powerloss: %s of %s is not followed\n", what, name);
    abort();
}

// MARK: names

static int ends(const char *path, const char *end) {
    size_t length = strlen(path), of_end = strlen(end);
    return length >= of_end && !strcmp(path + length - of_end, end);
}

// Its name below the folder; "" is the folder's own. NULL: it is somewhere else, or left out.
static const char *below(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length)) return NULL;
    if (!path[length]) return "";
    if (path[length] != '/' || ends(path, "-shm") || ends(path, ".lock")) return NULL;
    return path + length + 1;
}

static const char *name_of_file(int fd, path_t path) {
    struct stat status;
    char link[64];
    if (!folder || fd < 0) return NULL;
    int error = errno;
    const char *name = NULL;
    if (!fstat(fd, &status) && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) && status.st_nlink) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, PATH_MAX);
        if (length > 0) {
            path[length] = 0;
            name = below(path);
        }
    }
    errno = error;
    return name;
}

static const char *name_of_path(int at, const char *given, path_t path) {
    char link[64] = "/proc/self/cwd";
    if (!folder || !given || strlen(given) >= PATH_MAX / 2) return NULL;
    if (given[0] == '/') return below(strcpy(path, given));
    int error = errno;
    if (at != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t length = readlink(link, path, PATH_MAX / 2);
    errno = error;
    if (length < 0) return NULL;
    path[length] = '/';
    strcpy(path + length + 1, given);
    return below(path);
}

static const char *note_of(const char *name, const char *kind, path_t path) {
    char *end = path + snprintf(path, sizeof(path_t), "%s/", notes), *start = end;
    snprintf(start, sizeof(path_t) - (size_t)(end - path), "%s%s", name, kind);
    for (; *start; start++)
        if (*start == '/') *start = '%';
    return path;
}

// MARK: notes

static void append(const char *name, const char *kind, struct iovec *parts, int count) {
    path_t path;
    ssize_t length = 0;
    for (int i = 0; i < count; i++) length += (ssize_t)parts[i].iov_len;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, note_of(name, kind, path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || (count && syscall(SYS_writev, fd, parts, count) != length)) refuse("without room for a note, a change", name);
    syscall(SYS_close, fd);
}

static void drop(const char *name, const char *kind) {
    path_t path;
    syscall(SYS_unlinkat, AT_FDCWD, note_of(name, kind, path), 0);
}

// The names in a folder are durable.
static void drop_new(const char *parent) {
    path_t prefix;
    DIR *all = opendir(notes);
    if (!all) refuse("without its notes, a sync", parent);
    const char *start = strrchr(note_of(parent, *parent ? "/" : "", prefix), '/') + 1;
    size_t length = strlen(start);
    for (struct dirent *entry; (entry = readdir(all));)
        if (!strncmp(entry->d_name, start, length) && !strchr(entry->d_name + length, '%') && ends(entry->d_name, ".new"))
            syscall(SYS_unlinkat, dirfd(all), entry->d_name, 0);
    closedir(all);
}

static void move(const char *name, const char *to, const char *kind) {
    path_t path, to_path;
    drop(to, kind);
    syscall(SYS_renameat2, AT_FDCWD, note_of(name, kind, path), AT_FDCWD, note_of(to, kind, to_path), 0);
}

static void note_new(const char *name) { append(name, ".new", NULL, 0); }

static char *read_old(int fd, size_t length, off_t offset, const char *name) {
    char *bytes = malloc(length + 1);
    int reader = fd;
    // To close a second descriptor lets go of the process's locks on a file. What SQLite locks it can read, too.
    int is_write_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
    if (is_write_only) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    }
    for (size_t done = 0; done < length;) {
        ssize_t count = bytes ? syscall(SYS_pread64, reader, bytes + done, length - done, offset + (off_t)done) : -1;
        if (count <= 0) refuse("without its old bytes, a change", name);
        done += (size_t)count;
    }
    if (is_write_only) syscall(SYS_close, reader);
    return bytes;
}

// MARK: changes

static ssize_t change_by_write(int fd, const char *name, const struct iovec *parts, int count, off_t offset) {
    struct stat status;
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    char *new = malloc(length + 1), *end = new;
    if (!new) refuse("without memory, a change", name);
    for (int i = 0; i < count; i++) end = mempcpy(end, parts[i].iov_base, parts[i].iov_len);
    pthread_mutex_lock(&mutex);
    fstat(fd, &status);
    int is_appended = fcntl(fd, F_GETFL) & O_APPEND, has_place = offset < 0;
    if (has_place) offset = lseek(fd, 0, SEEK_CUR);
    off_t place = is_appended ? status.st_size : offset;
    size_t old_length = place >= status.st_size ? 0 : (size_t)(status.st_size - place);
    if (old_length > length) old_length = length;
    char *old = read_old(fd, old_length, place, name);
    ssize_t done = syscall(SYS_pwrite64, fd, new, length, place);
    int error = errno;
    if (done > 0) {
        if (has_place) lseek(fd, place + done, SEEK_SET);
        if (old_length > (size_t)done) old_length = (size_t)done;
        struct change change = {WRITE, (uint64_t)place, (uint64_t)status.st_size, old_length, (uint64_t)done};
        struct iovec note[] = {{&change, sizeof change}, {old, old_length}, {new, (size_t)done}};
        append(name, ".changes", note, 3);
    }
    pthread_mutex_unlock(&mutex);
    free(old);
    free(new);
    errno = error;
    return done;
}

static int change_by_truncation(int fd, const char *name, off_t size) {
    struct stat status;
    pthread_mutex_lock(&mutex);
    fstat(fd, &status);
    size_t old_length = size < status.st_size ? (size_t)(status.st_size - size) : 0;
    char *old = read_old(fd, old_length, size, name);
    int result = (int)syscall(SYS_ftruncate, fd, size), error = errno;
    if (!result && size != status.st_size) {
        struct change change = {TRUNCATE, (uint64_t)size, (uint64_t)status.st_size, old_length, 0};
        struct iovec note[] = {{&change, sizeof change}, {old, old_length}};
        append(name, ".changes", note, 2);
    }
    pthread_mutex_unlock(&mutex);
    free(old);
    errno = error;
    return result;
}

static int sync_by(long call, int fd) {
    path_t path;
    struct stat status;
    const char *name = name_of_file(fd, path);
    if (!name) return (int)syscall(call, fd);
    if (lies && strstr(name, lies)) return 0;
    pthread_mutex_lock(&mutex);
    nanosleep(&(struct timespec){.tv_nsec = sync_time}, NULL);
    int result = (int)syscall(call, fd), error = errno;
    if (!result) {
        fstat(fd, &status);
        if (S_ISDIR(status.st_mode)) drop_new(name);
        else drop(name, ".changes");
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

static int open_by_path(int at, const char *given, int flags, mode_t mode) {
    path_t path, opened;
    const char *name = name_of_path(at, given, path);
    if (!name) {
        int fd = (int)syscall(SYS_openat, at, given, flags, mode);
        if ((flags & (O_CREAT | O_TRUNC)) && (name = name_of_file(fd, opened))) refuse("an opening by another name", name);
        return fd;
    }
    if ((flags & O_TMPFILE) == O_TMPFILE || (flags & O_DSYNC)) refuse("O_TMPFILE, O_SYNC or O_DSYNC", name);
    pthread_mutex_lock(&mutex);
    int error = errno, is_new = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
    errno = error;
    int fd = (int)syscall(SYS_openat, at, given, flags & ~O_TRUNC, mode);
    if (fd >= 0 && is_new) note_new(name);
    pthread_mutex_unlock(&mutex);
    if (fd >= 0 && !is_new && (flags & O_TRUNC)) change_by_truncation(fd, name, 0);
    return fd;
}

static int unlink_by_path(int at, const char *given, int flags) {
    path_t path;
    const char *name = name_of_path(at, given, path);
    if (!name) return (int)syscall(SYS_unlinkat, at, given, flags);
    if (flags) refuse("the removal of a folder", name);
    pthread_mutex_lock(&mutex);
    int result = (int)syscall(SYS_unlinkat, at, given, flags), error = errno;
    if (!result) {
        drop(name, ".changes");
        drop(name, ".new");
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

// Durable at once, as an unlink is; but a name that was new is new still.
static int rename_by_path(int at, const char *given, int to_at, const char *given_to, unsigned flags) {
    path_t path, to_path;
    struct stat status;
    const char *name = name_of_path(at, given, path), *to = name_of_path(to_at, given_to, to_path);
    if (!name && !to) return (int)syscall(SYS_renameat2, at, given, to_at, given_to, flags);
    if (!name || !to || flags) refuse("such a rename", name ? name : to);
    pthread_mutex_lock(&mutex);
    if (!fstatat(at, given, &status, AT_SYMLINK_NOFOLLOW) && !S_ISREG(status.st_mode)) refuse("the rename of a folder", name);
    int result = (int)syscall(SYS_renameat2, at, given, to_at, given_to, flags), error = errno;
    if (!result) {
        move(name, to, ".changes");
        move(name, to, ".new");
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

// MARK: what the process calls

#define OPEN(function, parameters, at)                                                                       \
    int function parameters {                                                                                \
        mode_t mode = 0;                                                                                     \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                                         \
            va_list rest;                                                                                    \
            va_start(rest, flags);                                                                           \
            mode = va_arg(rest, mode_t);                                                                     \
            va_end(rest);                                                                                    \
        }                                                                                                    \
        return open_by_path(at, path, flags, mode);                                                          \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int at, const char *path, int flags, ...), at)
OPEN(openat64, (int at, const char *path, int flags, ...), at)

int creat(const char *path, mode_t mode) { return open_by_path(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

int mkdirat(int at, const char *given, mode_t mode) {
    path_t path;
    int result = (int)syscall(SYS_mkdirat, at, given, mode);
    const char *name = result ? NULL : name_of_path(at, given, path);
    if (name) note_new(name);
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int unlink(const char *path) { return unlink_by_path(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return unlink_by_path(at, path, flags); }
int rmdir(const char *path) { return unlink_by_path(AT_FDCWD, path, AT_REMOVEDIR); }
int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) { return rename_by_path(at, from, to_at, to, flags); }
int renameat(int at, const char *from, int to_at, const char *to) { return rename_by_path(at, from, to_at, to, 0); }
int rename(const char *from, const char *to) { return rename_by_path(AT_FDCWD, from, AT_FDCWD, to, 0); }
int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }

ssize_t write(int fd, const void *bytes, size_t length) {
    path_t path;
    const char *name = name_of_file(fd, path);
    struct iovec part = {(void *)bytes, length};
    return name ? change_by_write(fd, name, &part, 1, -1) : syscall(SYS_write, fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    path_t path;
    const char *name = name_of_file(fd, path);
    return name ? change_by_write(fd, name, parts, count, -1) : syscall(SYS_writev, fd, parts, count);
}

#define PWRITE(function)                                                                                     \
    ssize_t function(int fd, const void *bytes, size_t length, off_t offset) {                               \
        path_t path;                                                                                         \
        const char *name = name_of_file(fd, path);                                                           \
        struct iovec part = {(void *)bytes, length};                                                         \
        return name ? change_by_write(fd, name, &part, 1, offset) : syscall(SYS_pwrite64, fd, bytes, length, offset); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

// The system takes the upper half of the offset apart; it is 0 where a word has 64 bits.
#define PWRITEV(function)                                                                                    \
    ssize_t function(int fd, const struct iovec *parts, int count, off_t offset) {                           \
        path_t path;                                                                                         \
        const char *name = name_of_file(fd, path);                                                           \
        return name ? change_by_write(fd, name, parts, count, offset) : syscall(SYS_pwritev, fd, parts, count, offset, 0); \
    }
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define FTRUNCATE(function)                                                                                  \
    int function(int fd, off_t size) {                                                                       \
        path_t path;                                                                                         \
        const char *name = name_of_file(fd, path);                                                           \
        return name ? change_by_truncation(fd, name, size) : (int)syscall(SYS_ftruncate, fd, size);          \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

// MARK: what nobody calls

static void refuse_file(const char *what, int fd) {
    path_t path;
    const char *name = name_of_file(fd, path);
    if (name) refuse(what, name);
}

static void refuse_path(const char *what, int at, const char *given) {
    path_t path;
    const char *name = name_of_path(at, given, path);
    if (name) refuse(what, name);
}

#define MMAP(function)                                                                                       \
    void *function(void *address, size_t length, int protection, int flags, int fd, off_t offset) {          \
        if ((protection & PROT_WRITE) && (flags & MAP_SHARED)) refuse_file(#function, fd);                   \
        return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);                    \
    }
MMAP(mmap)
MMAP(mmap64)

int linkat(int at, const char *from, int to_at, const char *to, int flags) {
    refuse_path("a link", at, from);
    refuse_path("a link", to_at, to);
    return (int)syscall(SYS_linkat, at, from, to_at, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

#define TRUNCATE_PATH(function)                                                                              \
    int function(const char *path, off_t size) {                                                             \
        refuse_path("a truncation by name", AT_FDCWD, path);                                                 \
        return (int)syscall(SYS_truncate, path, size);                                                       \
    }
TRUNCATE_PATH(truncate)
TRUNCATE_PATH(truncate64)

#define FALLOCATE(function)                                                                                  \
    int function(int fd, int mode, off_t offset, off_t length) {                                             \
        refuse_file("an allocation", fd);                                                                    \
        return (int)syscall(SYS_fallocate, fd, mode, offset, length);                                        \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

#define POSIX_FALLOCATE(function)                                                                            \
    int function(int fd, off_t offset, off_t length) {                                                       \
        refuse_file("an allocation", fd);                                                                    \
        return syscall(SYS_fallocate, fd, 0, offset, length) ? errno : 0;                                    \
    }
POSIX_FALLOCATE(posix_fallocate)
POSIX_FALLOCATE(posix_fallocate64)

#define SENDFILE(function)                                                                                   \
    ssize_t function(int to, int from, off_t *offset, size_t length) {                                       \
        refuse_file("a copy", to);                                                                           \
        return syscall(SYS_sendfile, to, from, offset, length);                                              \
    }
SENDFILE(sendfile)
SENDFILE(sendfile64)

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t length, unsigned flags) {
    refuse_file("a copy", to);
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags);
}

#define PWRITEV2(function)                                                                                   \
    ssize_t function(int fd, const struct iovec *parts, int count, off_t offset, int flags) {                \
        refuse_file("pwritev2", fd);                                                                         \
        return syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);                                    \
    }
PWRITEV2(pwritev2)
PWRITEV2(pwritev64v2)
