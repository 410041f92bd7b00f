package dashboard

import (
	"os"
	"strings"
	"testing"

	"imagecache.dev/test/browser"
)

// TestPagesAreForEverybody looks at each page on a desk in light and on a phone in dark: axe finds nothing serious, no
// page is wider than its window, and each fits its picture. The pictures stay in bin/dashboard-shots.
func TestPagesAreForEverybody(t *testing.T) {
	folder := workspace(t, t.Name())
	prepare(t, folder, "look-1")
	prepare(t, folder, "look-2")
	address := dashboard(t, cluster.AdminKubeconfig, "-n", namespace) // the shared one keeps lists of images for a minute
	for name, look := range map[string]browser.Look{
		"desk light": {Width: 1280, Height: 800},
		"phone dark": {Width: 375, Height: 740, Dark: true},
	} {
		t.Run(name, func(t *testing.T) {
			page := tabs.Open(t, look)
			page.Goto(address)
			for _, question := range questions {
				open(page, question)
				page.Wait("#rows tbody tr, .pager")
				inspect(t, page, name+" "+question)
			}
			open(page, "Why did it wait?")
			page.Click(`a:text-is("look-1")`)
			page.Wait(".timeline")
			inspect(t, page, name+" request")
			open(page, "What is in there?")
			page.Click(`#rows a:text-is("shop")`)
			page.Wait(`#rows td:has-text("look-1")`)
			inspect(t, page, name+" images")
			page.Click(`#rows tr:has-text("look-1") a`)
			page.Wait(`.verdict.ok`)
			inspect(t, page, name+" image")
			page.Click(`a:has-text("Evict")`)
			page.Wait(`button.danger`)
			inspect(t, page, name+" evict")
		})
	}
}

// inspect takes a picture of a page and asks axe about it.
func inspect(t *testing.T, page *browser.Page, name string) {
	t.Helper()
	for _, found := range page.Axe() {
		if strings.HasPrefix(found, "serious") || strings.HasPrefix(found, "critical") {
			t.Errorf("%s: %s", name, found)
		} else {
			t.Logf("%s: %s", name, found)
		}
	}
	var wider int
	page.Evaluate(&wider, "document.documentElement.scrollWidth - document.documentElement.clientWidth")
	if wider > 0 {
		t.Errorf("%s is %d pixels wider than the window", name, wider)
	}
	path := shots(t, name)
	page.Shot(path, true)
	if info, err := os.Stat(path); err != nil || info.Size() < 5000 {
		t.Errorf("no picture of %s: %v", name, err)
	}
}

// TestAPageWorksByKeyboard goes from the address bar to an answer with Tab and Enter alone.
func TestAPageWorksByKeyboard(t *testing.T) {
	page := administrator(t, browser.Look{})
	focused := func() (text string) {
		page.Evaluate(&text, "document.activeElement.textContent.trim()")
		return text
	}
	page.Press("Tab")
	if got := focused(); got != "Skip to the answer" {
		t.Fatalf("the first stop is %q", got)
	}
	for _, question := range questions {
		page.Press("Tab")
		if got := focused(); !strings.EqualFold(got, question) {
			t.Errorf("the next stop is %q, not %q", got, question)
		}
	}
	page.Press("Enter")
	page.Wait(`h1:has-text("Turn it on and off")`)
	var outline string
	page.Press("Tab")
	page.Evaluate(&outline, "getComputedStyle(document.activeElement).outlineStyle")
	if outline == "none" {
		t.Error("what has the focus does not show it")
	}
}

// TestAPageWorksWithoutScripts: what changes by itself and the drawings are missing, and nothing else.
func TestAPageWorksWithoutScripts(t *testing.T) {
	prepare(t, workspace(t, t.Name()), "plain-1")
	// A dashboard of its own has read no images yet.
	page := administrator(t, browser.Look{NoScripts: true}, "--read-only")
	open(page, "Why did it wait?")
	page.Fill("#search", "plain-1")
	page.Click(`form.filter button`)
	page.Wait(`.pager:has-text("1–1 of 1 requests")`)
	open(page, "What is in there?")
	page.Click(`#rows a:text-is("shop")`)
	page.Click(`a:text-is("Read them now")`)
	page.Wait(`#rows td:has-text("plain-1")`)
}

// TestATabListensOnlyWhileItIsLookedAt: a browser has six connections to a host, and tabs in the background would take them
// all. A tab that is looked at again shows what it missed.
func TestATabListensOnlyWhileItIsLookedAt(t *testing.T) {
	page := administrator(t, browser.Look{})
	open(page, "On and off")
	page.Wait(`#rows td:text-is("Free")`)
	page.Evaluate(nil, `(() => {
		window.streams = 0;
		const Real = EventSource;
		window.EventSource = class extends Real {
			constructor(address) { super(address); window.streams++; }
			close() { super.close(); window.streams--; }
		};
		window.look = (state) => {
			Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
			document.dispatchEvent(new Event("visibilitychange"));
		};
	})()`)
	streams := func(state string) (count int) {
		page.Evaluate(&count, `look("`+state+`"), streams`)
		return count
	}
	streams("hidden") // ends the first one, which is not counted
	kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"tier":"Core"}}`)
	t.Cleanup(func() { kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"tier":"Free"}}`) })
	if count := streams("visible"); count != 1 {
		t.Errorf("%d streams of a tab that is looked at", count)
	}
	page.Wait(`#rows td:text-is("Core")`)
	if count := streams("hidden"); count != 0 {
		t.Errorf("%d streams of a tab in the background", count)
	}
}
