// Sends events with the Go SDK: in the binary, the structured and the batch mode, and the first of them again.
//
// Environment: URL (where to publish), TOKEN. A failure exits non-zero.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

func main() {
	if err := send(context.Background(), os.Getenv("URL"), "Bearer "+os.Getenv("TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send(ctx context.Context, url, authorization string) error {
	client, err := cloudevents.NewClientHTTP(
		cloudevents.WithTarget(url), cloudevents.WithHeader("Authorization", authorization))
	if err != nil {
		return err
	}
	modes := []struct {
		name string
		ctx  context.Context
	}{
		{"binary", cloudevents.WithEncodingBinary(ctx)},
		{"structured", cloudevents.WithEncodingStructured(ctx)},
	}
	for _, mode := range append(modes, modes[0]) {
		made, err := newEvent(mode.name)
		if err != nil {
			return err
		}
		if result := client.Send(mode.ctx, made); !cloudevents.IsACK(result) {
			return fmt.Errorf("%s: %w", mode.name, result)
		}
	}
	return sendBatch(ctx, url, authorization, "batch-1", "batch-2")
}

func sendBatch(ctx context.Context, url, authorization string, ids ...string) error {
	var events []event.Event
	for _, id := range ids {
		made, err := newEvent(id)
		if err != nil {
			return err
		}
		events = append(events, made)
	}
	request, err := cehttp.NewHTTPRequestFromEvents(ctx, url, events)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return errors.New("batch: " + response.Status)
	}
	return nil
}

func newEvent(id string) (event.Event, error) {
	made := cloudevents.NewEvent()
	made.SetID(id)
	made.SetSource("/go")
	made.SetType("sdk.event")
	made.SetSubject("go " + id + " 50%ff ünï")
	return made, made.SetData(cloudevents.ApplicationJSON, map[string]string{"sent": id})
}
