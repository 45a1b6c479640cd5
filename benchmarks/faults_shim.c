/* Preloaded: while the file that FAULTS_FLAG names is there, the state's files cannot be written. The first
   letter in it says why: N for no space, anything else for an error of the disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int fd) {
    int before = errno;
    char link[64], path[4096], why = 'E';
    const char *flag = getenv("FAULTS_FLAG");
    if (flag == NULL || access(flag, F_OK) != 0) { errno = before; return 0; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    if (strstr(path, "state.sqlite") == NULL) { errno = before; return 0; }
    int file = open(flag, O_RDONLY);
    if (file >= 0) {
        if (read(file, &why, 1) != 1) why = 'E';
        close(file);
    }
    errno = why == 'N' ? ENOSPC : EIO;
    return 1;
}

#define FAILING(type, name, parameters, arguments)                      \
    type name parameters {                                              \
        static type(*real) parameters;                                  \
        if (fails(fd)) return -1;                                       \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);    \
        return real arguments;                                          \
    }

FAILING(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
FAILING(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
FAILING(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
FAILING(int, fsync, (int fd), (fd))
FAILING(int, fdatasync, (int fd), (fd))
FAILING(int, ftruncate, (int fd, off_t n), (fd, n))
FAILING(int, ftruncate64, (int fd, off64_t n), (fd, n))
