package dashboard

import (
	"fmt"
	"strings"
	"testing"

	"imagecache.dev/test/browser"
)

// questions are the pages, by the entry of the navigation.
var questions = []string{"Is it working?", "What does it save?", "Why did it wait?", "What is in there?", "On and off"}

// TestEachQuestionIsAnswered: one environment built the image, and another one pulled it.
func TestEachQuestionIsAnswered(t *testing.T) {
	folder := workspace(t, t.Name())
	prepare(t, folder, "asked-1")
	prepare(t, folder, "asked-2")
	page := tabs.Open(t, browser.Look{})
	page.Goto(dashboard(t, cluster.AdminKubeconfig, "-n", namespace)) // the shared one keeps lists of images for a minute
	if strings.Contains(page.Address(), "token") {
		t.Errorf("the token stays in the address: %s", page.Address())
	}
	reads := func(selector string, wants ...string) {
		t.Helper()
		text := page.Text(selector)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not read %q:\n%s", selector, want, text)
			}
		}
	}
	page.Wait("#rows tbody tr:nth-child(2)")
	reads("#head", "Yes. 1 runner and 1 project work.", "No pull credentials have expired.")
	reads("#rows", "Project shop", "Runner demo", "valid for")
	reads("main", "Nothing lately: AWS is as the manager set it.")

	open(page, "What does it save?")
	page.Wait(".chart[data-drawn] canvas")
	answers := strings.Fields(kubectl(t, "get", "dci", "-o", "jsonpath={.items[*].status.cacheResult}"))
	hits := strings.Count(strings.Join(answers, " "), "Hit")
	rate := fmt.Sprintf("%.0f %%", 100*float64(hits)/float64(len(answers)))
	reads(".figures", "Hit rate", rate, fmt.Sprintf("%d of %d answers", hits, len(answers)), "Builds avoided")
	reads("#avoided", fmt.Sprint(hits))
	reads("#rows", "shop", rate)

	open(page, "Why did it wait?")
	reads("#rows", "asked-1", "Miss", "asked-2", "Hit")
	page.Click(`a:text-is("asked-1")`)
	reads("h1", "Why did asked-1 wait?")
	reads(".timeline", "Asked", "Answered", "Built", "Published", "Ready")
	open(page, "Why did it wait?")
	page.Click(`a:text-is("asked-2")`)
	reads(".timeline", "Asked", "Answered", "Pulled", "Ready")

	open(page, "What is in there?")
	page.Click(`#rows a:text-is("shop")`)
	page.Wait(`#rows td:has-text("asked-1")`)
	page.Click(`#rows tr:has-text("asked-1") a`)
	reads("main", "The signature holds, by key", "asked-1", "devcontainer.json")

	open(page, "On and off")
	reads("#rows", "demo", "Free", "on", "the cache can be switched off on the tiers Core and Enterprise only")
	for _, complaint := range page.Complaints() {
		t.Errorf("the browser complains: %s", complaint)
	}
}
