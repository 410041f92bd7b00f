// Package browser drives a real browser for tests: Debian's chromium or Google's, headless, by playwright-core. "make
// browser" provides both.
package browser

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

//go:embed driver.mjs
var driver []byte

// Browser is a running browser. Its pages may be used one at a time.
type Browser struct {
	command *exec.Cmd
	orders  io.WriteCloser
	results *bufio.Reader
	folder  string

	mu    sync.Mutex
	pages int
}

// Start starts a browser with the npm packages of a folder. Callers must call Close.
func Start(packages string) (*Browser, error) {
	program, err := findProgram()
	if err != nil {
		return nil, err
	}
	if packages, err = filepath.Abs(packages); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(packages, "node_modules", "playwright-core")); err != nil {
		return nil, errors.New("no playwright-core: run make browser")
	}
	folder, err := os.MkdirTemp("", "imagecache-browser-")
	if err != nil {
		return nil, err
	}
	script := filepath.Join(folder, "driver.mjs")
	if err := os.WriteFile(script, driver, 0o600); err != nil {
		return nil, err
	}
	b := &Browser{command: exec.Command("node", script, packages, program), folder: folder}
	b.command.Stderr = os.Stderr
	if b.orders, err = b.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := b.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.results = bufio.NewReader(output)
	if err := b.command.Start(); err != nil {
		return nil, fmt.Errorf("start browser: %w", err)
	}
	return b, nil
}

// Close ends the browser.
func (b *Browser) Close() error {
	_ = b.orders.Close()
	return errors.Join(b.command.Wait(), os.RemoveAll(b.folder))
}

// order gives the driver an order, and decodes its result.
func (b *Browser) order(result any, order map[string]any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, err := json.Marshal(order)
	if err != nil {
		return err
	}
	if _, err := b.orders.Write(append(content, '\n')); err != nil {
		return fmt.Errorf("the browser's driver ended: %w", err)
	}
	line, err := b.results.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the browser's driver ended: %w", err)
	}
	answer := struct {
		Value json.RawMessage `json:"value"`
		Error string          `json:"error"`
	}{}
	if err := json.Unmarshal(line, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}

// Look is how a page is looked at.
type Look struct {
	Width, Height int
	Dark          bool
	// NoScripts switches JavaScript off.
	NoScripts bool
	// Header is sent with every request.
	Header map[string]string
	// Insecure accepts any certificate.
	Insecure bool
}

// Page is one tab with cookies of its own.
type Page struct {
	t       T
	browser *Browser
	name    string
}

// T is the part of a test that a page needs: Fatalf ends it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(what func())
}

// Open opens a tab, which ends with the test.
func (b *Browser) Open(t T, look Look) *Page {
	t.Helper()
	if look.Width == 0 {
		look.Width, look.Height = 1280, 800
	}
	b.mu.Lock()
	b.pages++
	p := &Page{t: t, browser: b, name: fmt.Sprint(b.pages)}
	b.mu.Unlock()
	if look.Header == nil {
		look.Header = map[string]string{}
	}
	p.do(nil, "open", map[string]any{
		"width": look.Width, "height": look.Height, "dark": look.Dark, "scripts": !look.NoScripts, "header": look.Header,
		"insecure": look.Insecure,
	})
	t.Cleanup(func() { _ = b.order(nil, map[string]any{"order": "close", "page": p.name}) })
	return p
}

func (p *Page) do(result any, order string, values map[string]any) {
	p.t.Helper()
	values["order"], values["page"] = order, p.name
	if err := p.browser.order(result, values); err != nil {
		p.t.Fatalf("%s %v: %v", order, values, err)
	}
}

// Goto opens an address and returns the status and the address at which that ended.
func (p *Page) Goto(address string) (status int, at string) {
	p.t.Helper()
	var ended struct {
		Status  int    `json:"status"`
		Address string `json:"address"`
	}
	p.do(&ended, "goto", map[string]any{"address": address})
	return ended.Status, ended.Address
}

// Address returns the address of the page.
func (p *Page) Address() (address string) {
	p.t.Helper()
	p.do(&address, "address", map[string]any{})
	return address
}

// Text returns what a person reads in an element; it waits for the element.
func (p *Page) Text(selector string) (text string) {
	p.t.Helper()
	p.do(&text, "text", map[string]any{"selector": selector})
	return text
}

// Count returns how many elements there are.
func (p *Page) Count(selector string) (count int) {
	p.t.Helper()
	p.do(&count, "count", map[string]any{"selector": selector})
	return count
}

// Wait waits until an element exists, up to 15 s.
func (p *Page) Wait(selector string) {
	p.t.Helper()
	p.do(nil, "wait", map[string]any{"selector": selector})
}

// Click clicks on an element.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do(nil, "click", map[string]any{"selector": selector})
}

// Fill fills a field.
func (p *Page) Fill(selector, value string) {
	p.t.Helper()
	p.do(nil, "fill", map[string]any{"selector": selector, "value": value})
}

// Press presses a key, such as Tab.
func (p *Page) Press(key string) {
	p.t.Helper()
	p.do(nil, "press", map[string]any{"value": key})
}

// Evaluate runs a script in the page, and decodes its result.
func (p *Page) Evaluate(result any, script string) {
	p.t.Helper()
	p.do(result, "evaluate", map[string]any{"value": script})
}

// Shot takes a picture of the page, of the whole or of what is in sight.
func (p *Page) Shot(path string, whole bool) {
	p.t.Helper()
	p.do(nil, "shot", map[string]any{"value": path, "whole": whole})
}

// Axe returns what axe finds hard to use, each with its impact first.
func (p *Page) Axe() (found []string) {
	p.t.Helper()
	p.do(&found, "axe", map[string]any{})
	return found
}

// Complaints returns the errors of the page's console, scripts that failed, and requests to other hosts.
func (p *Page) Complaints() (found []string) {
	p.t.Helper()
	p.do(&found, "complaints", map[string]any{})
	return found
}
