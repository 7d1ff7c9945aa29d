import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import kotlin.Unit;
import okhttp3.OkHttpClient;
import org.phoenixframework.Channel;
import org.phoenixframework.Defaults;
import org.phoenixframework.Push;
import org.phoenixframework.Socket;

/**
 * Joins a topic after a seq, publishes to it, receives what it published and acknowledges it.
 *
 * <p>Environment: SOCKET_URL, TOKEN, TOPIC. A failure exits non-zero.
 */
public final class Journey {
  private static final long PATIENCE_MS = 60_000;

  public static void main(String[] arguments) throws Exception {
    Map<String, Object> parameters = Map.of("token", System.getenv("TOKEN"));
    Socket socket = new Socket(
        System.getenv("SOCKET_URL") + "/websocket", parameters, "2.0.0",
        Defaults.INSTANCE.getEncode(), Defaults.INSTANCE.getDecode(),
        new OkHttpClient());
    CompletableFuture<Unit> opened = new CompletableFuture<>();
    socket.onOpen(() -> { opened.complete(Unit.INSTANCE); return Unit.INSTANCE; });
    socket.onError((error, response) -> { opened.completeExceptionally(error); return Unit.INSTANCE; });
    socket.connect();
    within(opened);
    // Gson reads and writes numbers as 0.0 and 1.0.
    Channel channel = socket.channel("topic:" + System.getenv("TOPIC"), Map.of("since", 0.0));
    CompletableFuture<Map<String, Object>> received = new CompletableFuture<>();
    channel.on("notification", message -> { received.complete(message.getPayload()); return Unit.INSTANCE; });
    reply(channel.join(PATIENCE_MS));
    Map<String, Object> published = reply(channel.push("publish", Map.of("title", "from Java"), PATIENCE_MS));
    Map<String, Object> notification = within(received);
    check("from Java".equals(notification.get("title")), notification);
    check(notification.get("id").equals(published.get("id")), notification);
    Object seq = notification.get("seq");
    check(seq.equals(reply(channel.push("ack", Map.of("up_to", seq), PATIENCE_MS)).get("acked_up_to")), seq);
    reply(channel.leave(PATIENCE_MS));
    System.out.println("received " + ((Number) seq).intValue());
    System.exit(0);
  }

  private static Map<String, Object> reply(Push push) throws Exception {
    CompletableFuture<Map<String, Object>> reply = new CompletableFuture<>();
    push.receive("ok", message -> { reply.complete(message.getPayload()); return Unit.INSTANCE; });
    push.receive("error", message -> {
      reply.completeExceptionally(new IllegalStateException("refused: " + message.getPayload()));
      return Unit.INSTANCE;
    });
    return within(reply);
  }

  private static <T> T within(CompletableFuture<T> future) throws Exception {
    return future.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
  }

  private static void check(boolean holds, Object found) {
    if (!holds) {
      throw new IllegalStateException("unexpected: " + found);
    }
  }
}
