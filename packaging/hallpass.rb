# A Homebrew formula. packaging/finish fills in what is between @ signs.
class Hallpass < Formula
  desc "OAuth 2.0 client credentials from the OS keychain, tokens for every tool"
  homepage "@HOMEPAGE@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@DOWNLOADS@/hallpass-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256 hallpass-@VERSION@-aarch64-apple-darwin.tar.gz@"
    end
    on_intel do
      url "@DOWNLOADS@/hallpass-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256 hallpass-@VERSION@-x86_64-apple-darwin.tar.gz@"
    end
  end

  on_linux do
    on_arm do
      url "@DOWNLOADS@/hallpass-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256 hallpass-@VERSION@-aarch64-unknown-linux-musl.tar.gz@"
    end
    on_intel do
      url "@DOWNLOADS@/hallpass-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256 hallpass-@VERSION@-x86_64-unknown-linux-musl.tar.gz@"
    end
  end

  def install
    bin.install Dir["bin/*"]
    (lib/"hallpass").install "lib/hallpass/hallpass-keyring"
    man1.install Dir["share/man/man1/*"]
    man5.install Dir["share/man/man5/*"]
    bash_completion.install "share/bash-completion/completions/hallpass"
    zsh_completion.install "share/zsh/site-functions/_hallpass"
    fish_completion.install "share/fish/vendor_completions.d/hallpass.fish"
    doc.install Dir["share/doc/hallpass/*"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/hallpass --version")
    assert_match "git-credential", shell_output("#{bin}/git-credential-hallpass --help")
  end
end
