package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxBridges bounds how many engines run at once on a machine.
const maxBridges = 250

// bridge is a network interface that connects an engine's containers.
type bridge struct {
	name    string
	address netip.Prefix
}

// makeBridge makes a bridge whose name and subnet no other bridge of this package has. It is atomic: the kernel refuses
// a name that exists. It needs CAP_NET_ADMIN, and no program.
func makeBridge() (*bridge, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make bridge: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	for n := range maxBridges {
		b := &bridge{
			name: fmt.Sprintf("imagecache%d", n),
			// Of the networks for benchmarks, which nobody routes: https://www.rfc-editor.org/rfc/rfc2544#appendix-C.2.2
			address: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(n), 1}), 24),
		}
		err := bridgeIoctl(socket, unix.SIOCBRADDBR, b.name)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err == nil {
			err = b.raise(socket)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make bridge %s: %w", b.name, err), b.remove())
		}
		return b, nil
	}
	return nil, fmt.Errorf("make bridge: %d exist already", maxBridges)
}

// raise gives the bridge its address and takes it into use.
func (b *bridge) raise(socket int) error {
	address, err := unix.NewIfreq(b.name)
	if err != nil {
		return err
	}
	if err := address.SetInet4Addr(b.address.Addr().AsSlice()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, address); err != nil {
		return fmt.Errorf("set address: %w", err)
	}
	if err := address.SetInet4Addr([]byte{255, 255, 255, 0}); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFNETMASK, address); err != nil {
		return fmt.Errorf("set network mask: %w", err)
	}
	return b.setFlags(socket, unix.IFF_UP|unix.IFF_RUNNING)
}

func (b *bridge) setFlags(socket int, flags uint16) error {
	request, err := unix.NewIfreq(b.name)
	if err != nil {
		return err
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("set flags: %w", err)
	}
	return nil
}

// remove is idempotent.
func (b *bridge) remove() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", b.name, err)
	}
	defer func() { _ = unix.Close(socket) }()
	// A bridge that is up can't be removed.
	_ = b.setFlags(socket, 0)
	err = bridgeIoctl(socket, unix.SIOCBRDELBR, b.name)
	if err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("remove bridge %s: %w", b.name, err)
	}
	return nil
}

// bridgeIoctl makes or removes a bridge. Its argument is the name alone, for which package unix has no function.
func bridgeIoctl(socket int, request uintptr, name string) error {
	text, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), request, uintptr(unsafe.Pointer(text)))
	if errno != 0 {
		return errno
	}
	return nil
}
