/* Preloaded into whatever writes below the directory POWER_CUT_ROOT: notes in the file POWER_CUT what is done
   to files there, so that a test can tell what a disk may hold when the power fails. No sync reaches the disk;
   it takes a moment, and is noted. With POWER_CUT_LIES it is not noted either.

   What is noted (conformance/src/power/notes.rs reads it): a letter, the length of a path, the length of what
   follows it, two numbers, and both. The note and what it says happen under a lock of the file, so that whoever
   has the lock sees neither without the other. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int notes = -1;
static const char *root;
static size_t root_length;

__attribute__((constructor)) static void begin(void) {
  root = getenv("POWER_CUT_ROOT");
  root_length = root == NULL ? 0 : strlen(root);
  if (root != NULL && getenv("POWER_CUT") != NULL)
    notes = REAL(open)(getenv("POWER_CUT"), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (notes < 0) abort();
}

static void lock(void) {
  pthread_mutex_lock(&mutex);
  while (flock(notes, LOCK_EX) != 0 && errno == EINTR) {}
}

static void unlock(void) {
  int error = errno;
  flock(notes, LOCK_UN);
  pthread_mutex_unlock(&mutex);
  errno = error;
}

static void note(char what, const char *path, uint64_t first, uint64_t second, const struct iovec *data,
                 int count, size_t length) {
  struct __attribute__((packed)) {
    char what;
    uint32_t path, length;
    uint64_t first, second;
  } head = {what, path == NULL ? 0 : strlen(path), length, first, second};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)path, head.path}};
  int error = errno;
  if (REAL(writev)(notes, parts, 2) != (ssize_t)(sizeof head + head.path)) abort();
  for (int at = 0; at < count && length > 0; at++) {
    size_t part = data[at].iov_len < length ? data[at].iov_len : length;
    if (REAL(write)(notes, data[at].iov_base, part) != (ssize_t)part) abort();
    length -= part;
  }
  errno = error;
}

static void note_path(char what, const char *path, uint64_t first) { note(what, path, first, 0, NULL, 0, 0); }

static int is_below(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* The path from the root on, if it is below the directory; else NULL. */
static const char *whole(int directory, const char *path, char *room) {
  if (path == NULL) return NULL;
  if (path[0] == '/') return is_below(path) ? path : NULL;
  char link[64];
  snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
  ssize_t length = readlink(link, room, PATH_MAX);
  if (length <= 0 || length + strlen(path) + 2 > PATH_MAX) return NULL;
  snprintf(room + length, PATH_MAX - length, "/%s", path);
  return is_below(room) ? room : NULL;
}

/* Whether the file is a file or a directory below it, though it may have no name any more. */
static int is_watched(int file, struct stat *found) {
  char link[64], path[PATH_MAX];
  if (notes < 0 || fstat(file, found) != 0 || !(S_ISREG(found->st_mode) || S_ISDIR(found->st_mode))) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int opened(int directory, const char *given, int flags, mode_t mode) {
  int (*real)(int, const char *, int, ...) = REAL(openat);
  char room[PATH_MAX];
  const char *path = (flags & (O_CREAT | O_TRUNC)) != 0 ? whole(directory, given, room) : NULL;
  if (path == NULL) return real(directory, given, flags, mode);
  struct stat found;
  lock();
  int is_new = lstat(path, &found) != 0;
  int file = real(directory, given, flags, mode);
  if (file >= 0 && fstat(file, &found) == 0) {
    if (is_new) note_path('C', path, found.st_ino);
    else if ((flags & O_TRUNC) != 0) note_path('T', NULL, found.st_ino);
  }
  unlock();
  return file;
}

#define MODE(flags, mode) \
  mode_t mode = 0; \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) {
  MODE(flags, mode)
  return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags, mode)
  return opened(AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char *path, int flags, ...) {
  MODE(flags, mode)
  return opened(directory, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
  MODE(flags, mode)
  return opened(directory, path, flags, mode);
}

/* Where the next write goes. */
static uint64_t position(int file, const struct stat *found) {
  return (fcntl(file, F_GETFL) & O_APPEND) != 0 ? found->st_size : lseek(file, 0, SEEK_CUR);
}

ssize_t writev(int file, const struct iovec *data, int count) {
  struct stat found;
  if (!is_watched(file, &found)) return REAL(writev)(file, data, count);
  lock();
  fstat(file, &found);
  uint64_t at = position(file, &found);
  ssize_t length = REAL(writev)(file, data, count);
  if (length > 0) note('W', NULL, found.st_ino, at, data, count, length);
  unlock();
  return length;
}

ssize_t write(int file, const void *bytes, size_t length) {
  struct stat found;
  if (!is_watched(file, &found)) return REAL(write)(file, bytes, length);
  struct iovec data = {(void *)bytes, length};
  return writev(file, &data, 1);
}

ssize_t pwrite64(int file, const void *bytes, size_t wanted, off64_t at) {
  struct stat found;
  if (!is_watched(file, &found)) return REAL(pwrite64)(file, bytes, wanted, at);
  lock();
  ssize_t length = REAL(pwrite64)(file, bytes, wanted, at);
  struct iovec data = {(void *)bytes, wanted};
  if (length > 0) note('W', NULL, found.st_ino, at, &data, 1, length);
  unlock();
  return length;
}

int ftruncate64(int file, off64_t length) {
  struct stat found;
  if (!is_watched(file, &found)) return REAL(ftruncate64)(file, length);
  lock();
  int result = REAL(ftruncate64)(file, length);
  if (result == 0) note('T', NULL, found.st_ino, length, NULL, 0, 0);
  unlock();
  return result;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  char from_room[PATH_MAX], to_room[PATH_MAX];
  const char *from_whole = whole(from_directory, from, from_room);
  const char *to_whole = whole(to_directory, to, to_room);
  if (from_whole == NULL && to_whole == NULL) return REAL(renameat)(from_directory, from, to_directory, to);
  /* What goes in or out is nothing that this can tell of. */
  if (from_whole == NULL || to_whole == NULL) abort();
  lock();
  int result = REAL(renameat)(from_directory, from, to_directory, to);
  struct iovec data = {(void *)to_whole, strlen(to_whole)};
  if (result == 0) note('R', from_whole, 0, 0, &data, 1, data.iov_len);
  unlock();
  return result;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
  char from_room[PATH_MAX], to_room[PATH_MAX];
  const char *from_whole = whole(from_directory, from, from_room);
  const char *to_whole = whole(to_directory, to, to_room);
  if (from_whole == NULL && to_whole == NULL)
    return REAL(linkat)(from_directory, from, to_directory, to, flags);
  if (from_whole == NULL || to_whole == NULL) abort();
  lock();
  int result = REAL(linkat)(from_directory, from, to_directory, to, flags);
  struct iovec data = {(void *)to_whole, strlen(to_whole)};
  if (result == 0) note('L', from_whole, 0, 0, &data, 1, data.iov_len);
  unlock();
  return result;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int directory, const char *given, int flags) {
  char room[PATH_MAX];
  const char *path = whole(directory, given, room);
  if (path == NULL) return REAL(unlinkat)(directory, given, flags);
  lock();
  int result = REAL(unlinkat)(directory, given, flags);
  if (result == 0) note_path('U', path, 0);
  unlock();
  return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int directory, const char *given, mode_t mode) {
  char room[PATH_MAX];
  const char *path = whole(directory, given, room);
  if (path == NULL) return REAL(mkdirat)(directory, given, mode);
  struct stat found;
  lock();
  int result = REAL(mkdirat)(directory, given, mode);
  if (result == 0 && lstat(path, &found) == 0) note_path('D', path, found.st_ino);
  unlock();
  return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* What was done before it begins is on the disk when it ends, and not before. */
static int synced(int file, int (*real)(int)) {
  static uint64_t count;
  struct stat found;
  if (!is_watched(file, &found)) return real(file);
  int lies = getenv("POWER_CUT_LIES") != NULL;
  lock();
  uint64_t number = ((uint64_t)getpid() << 32) + ++count;
  uint64_t takes = (number * 2654435761u >> 7) % 1500;
  if (!lies) note('B', NULL, found.st_ino, number, NULL, 0, 0);
  unlock();
  usleep(takes);
  lock();
  if (!lies) note_path('E', NULL, number);
  unlock();
  return 0;
}
int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }
