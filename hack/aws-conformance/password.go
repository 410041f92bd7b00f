package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"imagecache.dev/internal/sessionpolicy"
)

func noManifestWithUploadRights(ctx context.Context, w *world) (string, error) {
	p, err := newImage()
	if err != nil {
		return "", err
	}
	uploader, err := w.login(ctx, w.push, w.own.project, sessionpolicyPush(w, w.own))
	if err != nil {
		return "", err
	}
	if err := w.upload(ctx, w.own, uploader, p); err != nil {
		return "", fmt.Errorf("upload layers: %w", err)
	}
	return "layers are taken, the manifest is not", refuses("putting the manifest", w.putManifest(ctx, w.own, uploader, "no-manifest", p))
}

// readable publishes an image in both repositories, and makes sure that whoever may reads them.
func readable(ctx context.Context, w *world, tag string) error {
	for _, r := range []repository{w.own, w.other} {
		if err := w.open(ctx, r); err != nil {
			return err
		}
		if _, err := w.publish(ctx, r, tag); err != nil {
			return err
		}
		reader, err := w.login(ctx, w.wide, r.project, "")
		if err != nil {
			return err
		}
		if err := w.until(ctx, func() error { return w.pullManifest(ctx, r, reader, tag) }); err != nil {
			return fmt.Errorf("read an image that nothing protects: %w", err)
		}
	}
	return nil
}

func policyVariables(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "variables"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.pull, w.own.project, "")
	if err != nil {
		return "", err
	}
	if err := w.until(ctx, func() error { return w.pullManifest(ctx, w.own, reader, "variables") }); err != nil {
		return "", fmt.Errorf("read the tag's own repository: %w", err)
	}
	return "the tag's own repository is read, the other is not", refuses("reading the other repository", w.pullManifest(ctx, w.other, reader, "variables"))
}

func sessionPolicyThroughPassword(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "session-policy"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, sessionpolicyPull(w, w.own))
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "session-policy"); err != nil {
		return "", fmt.Errorf("read the policy's own repository: %w", err)
	}
	return "the policy's own repository is read, the other is not", refuses("reading the other repository", w.pullManifest(ctx, w.other, reader, "session-policy"))
}

func denyBySessionTag(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "session-tag"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, "")
	if err != nil {
		return "", err
	}
	for _, r := range []repository{w.own, w.other} {
		if err := w.protect(ctx, r, w.wide); err != nil {
			return "", err
		}
	}
	err = w.until(ctx, func() error {
		return refuses("reading the repository of another tag", w.pullManifest(ctx, w.other, reader, "session-tag"))
	})
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "session-tag"); err != nil {
		return "", fmt.Errorf("read the tag's own repository: %w", err)
	}
	return "the tag's own repository is read, the other is denied", errors.Join(w.open(ctx, w.own), w.open(ctx, w.other))
}

func deadlineThroughPassword(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "deadline"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, sessionpolicy.Pull(w.own.arn, w.now().Add(w.deadline)))
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "deadline"); err != nil {
		return "", fmt.Errorf("read before the deadline: %w", err)
	}
	if err := w.wait(ctx, w.deadline+2*time.Second); err != nil {
		return "", err
	}
	return "read before the deadline, refused after it", refuses("reading after the deadline", w.pullManifest(ctx, w.own, reader, "deadline"))
}

func passwordBeyondSession(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "beyond"); err != nil {
		return "", err
	}
	began := w.now()
	unlimited, err := w.login(ctx, w.wide, w.own.project, "")
	if err != nil {
		return "", err
	}
	limited, err := w.login(ctx, w.wide, w.own.project, sessionpolicy.Pull(w.own.arn, began.Add(15*time.Minute)))
	if err != nil {
		return "", err
	}
	for _, l := range []login{unlimited, limited} {
		if err := w.pullManifest(ctx, w.own, l, "beyond"); err != nil {
			return "", fmt.Errorf("read within the session: %w", err)
		}
	}
	if err := w.wait(ctx, 16*time.Minute); err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, limited, "beyond"); err == nil {
		return "", errors.New("a password with a deadline works after it")
	}
	says := unlimited.expires.Sub(began).Round(time.Minute)
	switch err := w.pullManifest(ctx, w.own, unlimited, "beyond"); {
	case err == nil:
		return fmt.Sprintf("it lives on: it says that it lasts %s, and works after its session of 15m0s", says), nil
	case isAnswer(err):
		return fmt.Sprintf("it ends with its session, though it says that it lasts %s", says), nil
	default:
		return "", err
	}
}

// isAnswer reports whether the registry refused the caller, with 401 or 403.
func isAnswer(err error) bool {
	var answered *registryError
	return errors.As(err, &answered) && (answered.status == http.StatusForbidden || answered.status == http.StatusUnauthorized)
}
