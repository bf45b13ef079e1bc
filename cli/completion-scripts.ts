/** Names of shells, with the script that completes gradcast in each. */
export const SCRIPTS = {
  bash: `# Completion of gradcast for bash.
_gradcast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} files= line
  # bash takes '=' for a word.
  [[ $cur == = ]] && cur=
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*) files=\${line#:} ;;
      *) COMPREPLY+=("$(printf %q "\${line%%$'\\t'*}")") ;;
    esac
  done < <(gradcast complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  case $files in
    0)
      # Without a name of gradcast's own, bash completes files itself, with quotes and ~.
      if ((\${#COMPREPLY[@]} > 0)); then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
      fi
      ;;
    4) compopt +o default 2>/dev/null ;;
    16) compopt -o dirnames +o default 2>/dev/null ;;
  esac
}
complete -o default -F _gradcast gradcast
`,
  zsh: `#compdef gradcast
# Completion of gradcast for zsh.
_gradcast() {
  local files line
  local -a names
  while IFS= read -r line; do
    case $line in
      :*) files=\${line#:} ;;
      *) names+=("\${\${line//:/\\\\:}/$'\\t'/:}") ;;
    esac
  done < <(gradcast complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  local found=1
  if (( $#names )); then _describe gradcast names && found=0; fi
  if [[ $files != 4 ]]; then
    compset -P '--*='
    if [[ $files == 16 ]]; then _files -/ && found=0; else _files && found=0; fi
  fi
  return found
}
if [[ $funcstack[1] == _gradcast ]]; then _gradcast "$@"; else compdef _gradcast gradcast; fi
`,
  fish: `# Completion of gradcast for fish.
function __gradcast_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (gradcast complete -- $words[2..] "$current" 2>/dev/null)
    set -l option (string match -r -- '^--[^=]*=' "$current")
    for line in $lines
        switch $line
            case ':0'
                string replace -r '^' -- "$option" (__fish_complete_path (string replace -r '^--[^=]*=' '' -- "$current"))
            case ':16'
                string replace -r '^' -- "$option" (__fish_complete_directories (string replace -r '^--[^=]*=' '' -- "$current"))
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c gradcast -f -a '(__gradcast_complete)'
`,
  powershell: `# Completion of gradcast for PowerShell.
Register-ArgumentCompleter -Native -CommandName gradcast -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
    if ($wordToComplete) { $words = @($words | Select-Object -SkipLast 1) }
    # PowerShell before 7.3 passes no empty words, and takes a plain -- away from scripts.
    $empty = if ($PSVersionTable.PSVersion -lt [version]'7.3') { '""' } else { '' }
    $current = if ($wordToComplete) { $wordToComplete } else { $empty }
    # Without a result, PowerShell completes files.
    gradcast complete '--' @words $current 2>$null | Where-Object { $_ -notlike ':*' } | ForEach-Object {
        $value, $text = $_ -split "\`t", 2
        if (-not $text) { $text = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $text)
    }
}
`,
} as const;
