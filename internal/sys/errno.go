package sys

// Errno is a Linux error number as the kernel returns it; 0 means success.
type Errno uintptr

// The error numbers the core looks at.
const (
	EPERM        Errno = 1
	EINTR        Errno = 4
	EAGAIN       Errno = 11
	ENOMEM       Errno = 12
	EBUSY        Errno = 16
	EEXIST       Errno = 17
	EINVAL       Errno = 22
	ENAMETOOLONG Errno = 36
	ENOSYS       Errno = 38
)
