package background

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"imagecache.dev/internal/priority"
)

// A publication changes hands so:
//
//	prepare                                  the new process
//	makes the record and takes its lock
//	starts the process with the lock    ──►
//	writes the order                    ──►  renews the Lease, too
//	                                    ◄──  writes an answer: it holds, or why not
//	writes that it lets go              ──►  publishes
//
// Until the last step prepare can still publish itself: it kills the process first. A process that reads the end of its
// input before that step knows that prepare was killed, and gives up.

// The open files of the new process. Standard input has the order, and standard output and error are the log.
const (
	lockDescriptor   = 3
	answerDescriptor = 4
)

// startTimeout limits how long the environment waits for the new process to take over.
const startTimeout = 20 * time.Second

// order is the first line of the new process's input. The second line, true, tells it that prepare lets go.
type order struct {
	Folder string          `json:"folder"`
	Record Record          `json:"record"`
	Order  json.RawMessage `json:"order"`
}

// answer is the new process's. An empty reason means that it holds.
type answer struct {
	Reason string `json:"reason"`
}

// Start makes a record, and starts this program again with arguments, in a session of its own and at low priority. Take
// gives that process the value, which is written to no file and may hold credentials. Start returns when the process
// has called Hold; the process then goes on by itself. After an error no process and no record is left.
func (f Folder) Start(ctx context.Context, record Record, arguments []string, value any) (Record, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return record, fmt.Errorf("write order: %w", err)
	}
	lock, err := f.create(&record)
	if err != nil {
		return record, err
	}
	defer func() { _ = lock.Close() }() // the process has its own copy
	if err := f.start(ctx, lock, arguments, order{f.path, record, content}); err != nil {
		f.remove(record.Name)
		return record, fmt.Errorf("start publication: %w", err)
	}
	return record, nil
}

// create makes the files of a record, and takes its lock. A name that is taken gets a number.
func (f Folder) create(record *Record) (lock *os.File, err error) {
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return nil, fmt.Errorf("make publication: %w", err)
	}
	wanted := record.Name
	for number := 2; ; number++ {
		lock, err = f.hold(record.Name)
		if !errors.Is(err, fs.ErrExist) || number > maxFinished {
			break
		}
		record.Name = fmt.Sprintf("%s-%d", wanted, number)
	}
	if err != nil {
		return nil, fmt.Errorf("make publication: %w", err)
	}
	record.State, record.Log = Running, f.file(record.Name, logSuffix)
	if err := f.write(*record); err != nil {
		_ = lock.Close()
		f.remove(record.Name)
		return nil, err
	}
	return lock, nil
}

func (f Folder) remove(name string) {
	for _, suffix := range []string{recordSuffix, logSuffix, newSuffix, lockSuffix} {
		_ = os.Remove(f.file(name, suffix))
	}
}

// start runs the protocol above.
func (f Folder) start(ctx context.Context, lock *os.File, arguments []string, order order) error {
	log, err := os.OpenFile(order.Record.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	input, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = orders.Close() }()
	answers, output, err := os.Pipe()
	if err != nil {
		_ = input.Close()
		return err
	}
	defer func() { _ = answers.Close() }()
	command := exec.Command(ownExecutable(), arguments...)
	command.Args[0] = "imagecache"
	command.Stdin, command.Stdout, command.Stderr = input, log, log
	command.ExtraFiles = []*os.File{lock, output} // lockDescriptor, answerDescriptor
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keepOthersClosed()
	priority.Do(priority.Low(ctx), func() { err = command.Start() })
	_ = input.Close()
	_ = output.Close()
	if err != nil {
		return err
	}
	if err := negotiate(ctx, orders, answers, order); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return err
	}
	return command.Process.Release()
}

// negotiate gives the process its order, waits for its answer, and lets go.
func negotiate(ctx context.Context, orders io.Writer, answers *os.File, order order) error {
	ctx, cancel := context.WithTimeoutCause(
		ctx, startTimeout, fmt.Errorf("its process did not answer within %s", startTimeout),
	)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = answers.SetReadDeadline(time.Unix(0, 1)) })
	defer stop()
	writer := json.NewEncoder(orders)
	if err := writer.Encode(order); err != nil {
		return err
	}
	var told answer
	if err := json.NewDecoder(answers).Decode(&told); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("its process ended: %w", err)
	}
	if told.Reason != "" {
		return errors.New(told.Reason)
	}
	return writer.Encode(true)
}

// ownExecutable is this program. On Linux the name works also after the file was replaced.
func ownExecutable() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
