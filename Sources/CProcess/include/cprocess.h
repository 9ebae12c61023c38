// Starts a child process that cannot outlive its parent. In C, since between fork and exec nothing else is safe.
#pragma once

#include <stddef.h>
#include <sys/types.h>

// Starts path with argv and envp (both end in NULL), its output and errors going to output_fd, its input empty.
//
// The child leads a process group of its own, so that a Ctrl-C at the terminal reaches the parent alone. It is killed when
// the thread that called this ends: call it from a thread that lives as long as its children may.
//
// Returns 0 and sets *pid, or an errno: of fork, or of exec (no such file, not executable).
int cprocess_spawn(const char *path, char *const argv[], char *const envp[], int output_fd, pid_t *pid);

// Lets the allocator keep so many free bytes at the end of each of its heaps. By default it gives back what is above 128 kB: a process
// through which large messages pass would then fault the same pages in again and again.
void cprocess_keep_heap(size_t bytes);

// Lets the process have so many bytes of memory of its own at most, files and shared libraries not counted. What asks for more is
// refused, which few programs survive. Returns 0, or an errno.
int cprocess_limit_memory(size_t bytes);

// Asks the scheduler for turns of so many nanoseconds for the calling thread: when it wakes, it does not wait until the turn of a thread
// with longer ones is over. Its share stays what it was. Where the system knows no such thing, nothing happens.
void cprocess_take_short_turns(unsigned long long nanoseconds);
