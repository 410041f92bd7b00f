package background

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"imagecache.dev/internal/message"
	"imagecache.dev/internal/priority"
)

// errNotStarted: a person started the process.
var errNotStarted = errors.New("only imagecache prepare --publish=background starts this command")

// Taken is the publication of this process.
type Taken struct {
	Record Record

	folder Folder
	lock   *os.File // held until this process ends
	orders *json.Decoder
	answer *os.File
}

// Take receives the publication for which Start started this process, and what Start was given into value. Call it
// once.
func Take(value any) (*Taken, error) {
	lock, answers := os.NewFile(lockDescriptor, "lock"), os.NewFile(answerDescriptor, "answer")
	if !isPipe(os.Stdin) || !isPipe(answers) {
		return nil, errNotStarted
	}
	syscall.CloseOnExec(lockDescriptor)
	syscall.CloseOnExec(answerDescriptor)
	priority.LeadSession()
	orders := json.NewDecoder(os.Stdin)
	var given order
	if err := orders.Decode(&given); err != nil || given.Record.Name == "" {
		return nil, errNotStarted
	}
	if err := json.Unmarshal(given.Order, value); err != nil {
		return nil, fmt.Errorf("read order: %w", err)
	}
	return &Taken{Record: given.Record, folder: Folder{given.Folder}, lock: lock, orders: orders, answer: answers}, nil
}

func isPipe(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// Folder is the folder of the record.
func (t *Taken) Folder() Folder { return t.folder }

// Hold tells Start that this process goes on with the publication, and returns when Start lets go. After an error the
// publication is not this process's.
func (t *Taken) Hold() error {
	if err := t.tell(answer{}); err != nil {
		return err
	}
	var letGo bool
	if err := t.orders.Decode(&letGo); err != nil || !letGo {
		return errors.New("imagecache prepare ended before this process took over")
	}
	return nil
}

// Refuse tells Start that this process can't publish. Start then removes the record.
func (t *Taken) Refuse(why error) error { return t.tell(answer{Reason: message.Sentence(why.Error())}) }

func (t *Taken) tell(told answer) error {
	defer func() { _ = t.answer.Close() }()
	if err := json.NewEncoder(t.answer).Encode(told); err != nil {
		return fmt.Errorf("answer imagecache prepare: %w", err)
	}
	return nil
}

// Finish writes what became of the publication. The record goes on to name the image that was kept, until Settle.
func (t *Taken) Finish(state State, reference, reason string, now time.Time) error {
	t.Record.State, t.Record.Reference, t.Record.Reason, t.Record.Ended = state, reference, reason, &now
	return t.folder.write(t.Record)
}
