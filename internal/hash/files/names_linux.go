package files

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// child is one name in a folder.
type child struct {
	name string
	mode fs.FileMode // type bits
}

// direntModes are the types of directory entries:
// https://man7.org/linux/man-pages/man3/readdir.3.html
var direntModes = map[byte]fs.FileMode{
	syscall.DT_REG: 0, syscall.DT_DIR: fs.ModeDir, syscall.DT_LNK: fs.ModeSymlink, syscall.DT_FIFO: fs.ModeNamedPipe,
	syscall.DT_SOCK: fs.ModeSocket, syscall.DT_CHR: fs.ModeDevice | fs.ModeCharDevice, syscall.DT_BLK: fs.ModeDevice,
}

// Places of the fields of a struct linux_dirent64:
// https://man7.org/linux/man-pages/man2/getdents64.2.html
const (
	direntLength = 16
	direntType   = 18
	direntName   = 19
)

// readFolder lists a folder with the types that the file system tells, which
// saves a system call for each name. Where it tells none, they are looked up.
func readFolder(folder *os.Root) ([]child, error) {
	opened, err := folder.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	connection, err := opened.SyscallConn()
	if err != nil {
		return nil, err
	}
	var children []child
	var readErr error
	buffer := make([]byte, 32<<10)
	err = connection.Control(func(fd uintptr) {
		for {
			n, err := syscall.ReadDirent(int(fd), buffer)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				readErr = err
				return
			}
			children = appendChildren(children, buffer[:n])
		}
	})
	if err == nil {
		err = readErr
	}
	for i := range children {
		if err == nil && children[i].mode == fs.ModeIrregular {
			var info fs.FileInfo
			if info, err = folder.Lstat(children[i].name); err == nil {
				children[i].mode = info.Mode().Type()
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	return children, nil
}

func appendChildren(children []child, entries []byte) []child {
	for len(entries) > direntName {
		length := int(binary.NativeEndian.Uint16(entries[direntLength:]))
		if length <= direntName || length > len(entries) {
			return children
		}
		name := entries[direntName:length]
		for i, b := range name {
			if b == 0 {
				name = name[:i]
				break
			}
		}
		mode, known := direntModes[entries[direntType]]
		if !known {
			mode = fs.ModeIrregular
		}
		if string(name) != "." && string(name) != ".." {
			children = append(children, child{name: string(name), mode: mode})
		}
		entries = entries[length:]
	}
	return children
}
